// Values across the border: SQL arguments in, typed parameters and result columns out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/amount.hpp"
#include "core/canonical.hpp"
#include "core/period.hpp"
#include "extension/pg/guard.hpp"

namespace purser::pg {

// A value on its way into SQL. Made by the functions below; memory is the current context's.
struct Value {
  Datum datum = 0;
  bool null = false;
};

inline Value null_value() {
  return {0, true};
}
inline Value int8(std::int64_t value) {
  return {Int64GetDatum(value), false};
}
inline Value int4(std::int32_t value) {
  return {Int32GetDatum(value), false};
}
inline Value boolean(bool value) {
  return {BoolGetDatum(value), false};
}
inline Value timestamptz(Instant value) {
  return {TimestampTzGetDatum(value), false};
}
inline Value timestamp(LocalTime value) {
  return {TimestampGetDatum(value), false};
}
// NULL for the ends of time.
Value finite_timestamptz(Instant value);
Value interval(std::int64_t microseconds);  // days of 24 hours and a rest
Value text(std::string_view value);
Value text_or_null(const std::optional<std::string>& value);
Value numeric(Amount value);
Value jsonb(const std::string& json);
Value jsonb_or_null(const std::optional<std::string>& json);
Value bytea(const Digest& digest);
inline Value int8(const std::optional<std::int64_t>& value) {
  return value ? int8(*value) : null_value();
}
inline Value int4(const std::optional<std::int32_t>& value) {
  return value ? int4(*value) : null_value();
}

// Arrays without NULLs.
Value int8_array(const std::vector<std::int64_t>& values);
Value int4_array(const std::vector<std::int32_t>& values);
Value timestamptz_array(const std::vector<Instant>& values);
Value text_array(const std::vector<std::string>& values);

// Values out of SQL; the Datum must not be NULL. Text points into the Datum's own memory.
std::string_view read_text(Datum datum);
Amount read_numeric(Datum datum);
std::string read_jsonb(Datum datum);
Digest read_digest(Datum datum);
std::vector<std::int64_t> read_int8_array(Datum datum);  // also of timestamptz
std::vector<std::int32_t> read_int4_array(Datum datum);
std::vector<std::string> read_text_array(Datum datum);
std::vector<Amount> read_numeric_array(Datum datum);
inline std::int64_t read_int8(Datum datum) {
  return DatumGetInt64(datum);
}
inline std::int32_t read_int4(Datum datum) {
  return DatumGetInt32(datum);
}
inline Instant read_timestamptz(Datum datum) {
  return DatumGetTimestampTz(datum);
}

// The text as a JSON string, quotes included.
std::string json_string(std::string_view text);

// The instant as a JSON string in ISO 8601; null for the ends of time.
std::string json_timestamptz(Instant instant);

// SHA-256 as the server computes it.
Digest sha256(std::string_view bytes);

// The arguments of an SQL function by position, with the checks every argument needs. Errors are
// PU014, or PU013 for amounts, and name the argument.
class Arguments {
 public:
  explicit Arguments(FunctionCallInfo fcinfo) : fcinfo_(fcinfo) {}

  bool is_null(int i) const { return fcinfo_->args[i].isnull; }

  // An identifier: not NULL, not empty, at most 255 bytes, no control characters.
  std::string_view id(int i, const char* name) const;
  std::optional<std::string> optional_id(int i, const char* name) const;
  // Free text of at most `limit` bytes; nullopt for NULL.
  std::optional<std::string> optional_text(int i, const char* name, std::size_t limit) const;
  // Arrays without NULLs.
  std::vector<std::string> ids(int i, const char* name) const;
  std::vector<std::int64_t> int8s(int i, const char* name) const;
  std::vector<Amount> amounts(int i, const char* name) const;
  Amount amount(int i, const char* name) const;
  Amount positive_amount(int i, const char* name) const;
  bool flag(int i, const char* name) const;
  std::int64_t int8(int i, const char* name) const;
  std::int32_t int4(int i, const char* name) const;
  std::optional<std::int64_t> optional_int8(int i) const;
  std::optional<std::string> optional_jsonb(int i, const char* name) const;
  std::optional<Instant> optional_timestamptz(int i) const;
  std::optional<std::int32_t> optional_int4(int i) const;
  // The length of an interval without months, which have none; a day is 24 hours.
  std::int64_t microseconds(int i, const char* name) const;
  Datum datum(int i) const { return fcinfo_->args[i].value; }

 private:
  void require(int i, const char* name) const;
  FunctionCallInfo fcinfo_;
};

inline constexpr std::size_t longest_id = 255;

}  // namespace purser::pg
