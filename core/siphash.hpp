// SipHash-2-4 with 128 bits of output: a hash that who does not know the key cannot aim.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <string_view>

namespace purser {

struct SipKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

struct SipHash {
  std::uint64_t low = 0;  // the first eight bytes, little-endian
  std::uint64_t high = 0;
  bool operator==(const SipHash&) const = default;
};

SipHash siphash(const SipKey& key, std::string_view bytes);

}  // namespace purser
