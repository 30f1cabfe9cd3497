// The canonical byte string, and nothing about what is put into it. Layout, version 1:
//
//   string  := version value*
//   version := text                     "<length in bytes>:<bytes>"
//   value   := text tag                 the name, then one of
//     tag   := "s" text                 text
//            | "i" text                 an integer in decimal
//            | "n"                      absent
//
// Lengths are decimal without leading zeros. A reader never has to guess where a part ends, so two
// different lists cannot give one string. Hashes already stored depend on it: never change it.
#include "core/canonical.hpp"

#include <charconv>
#include <iterator>

namespace purser {
namespace {

constexpr std::size_t usual_size = 1024;

void append_decimal(std::string& bytes, std::int64_t value) {
  char digits[20];  // of the smallest, with its sign
  bytes.append(digits, std::to_chars(digits, std::end(digits), value).ptr);
}

void append_text(std::string& bytes, std::string_view text) {
  append_decimal(bytes, static_cast<std::int64_t>(text.size()));
  bytes += ':';
  bytes += text;
}

}  // namespace

Canonical::Canonical(std::string_view version) {
  bytes_.reserve(usual_size);
  append_text(bytes_, version);
}

Canonical& Canonical::add(std::string_view name, std::string_view value) {
  append_text(bytes_, name);
  bytes_ += 's';
  append_text(bytes_, value);
  return *this;
}

Canonical& Canonical::add(std::string_view name, std::int64_t value) {
  append_text(bytes_, name);
  bytes_ += 'i';
  std::string decimal;
  append_decimal(decimal, value);
  append_text(bytes_, decimal);
  return *this;
}

Canonical& Canonical::add(std::string_view name, const std::optional<std::string>& value) {
  if (value) return add(name, std::string_view(*value));
  append_text(bytes_, name);
  bytes_ += 'n';
  return *this;
}

}  // namespace purser
