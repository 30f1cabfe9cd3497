// One unambiguous byte string for a list of named values, to be hashed: the fingerprint of a
// request, the chain of a ledger. Every part carries its length, so no two lists share a string.
#pragma once
#include "core/pure.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace purser {

using Digest = std::array<std::uint8_t, 32>;
// SHA-256, given by the caller: the server's own in the backend, OpenSSL's elsewhere.
using Sha256 = std::function<Digest(std::string_view)>;

class Canonical {
 public:
  // `version` names the layout; a changed layout gets another name, so that old hashes still
  // verify.
  explicit Canonical(std::string_view version);

  Canonical& add(std::string_view name, std::string_view value);
  Canonical& add(std::string_view name, std::int64_t value);
  // An absent value differs from an empty one.
  Canonical& add(std::string_view name, const std::optional<std::string>& value);
  // Text would convert to both of the above equally well.
  Canonical& add(std::string_view name, const std::string& value) {
    return add(name, std::string_view(value));
  }
  Canonical& add(std::string_view name, const char* value) {
    return add(name, std::string_view(value));
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace purser
