// Conversions between Datums and the core's types. Every call that can fail runs under a guard.
#include <cstring>

#include "core/error.hpp"
#include "extension/pg/value.hpp"

extern "C" {
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/array.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
}

namespace purser::pg {

Value finite_timestamptz(Instant value) {
  return value == begin_of_time || value == end_of_time ? null_value() : timestamptz(value);
}

Value interval(std::int64_t microseconds) {
  return {guarded([&] {
            auto* made = static_cast<::Interval*>(palloc0(sizeof(::Interval)));
            made->day = static_cast<int32>(microseconds / USECS_PER_DAY);
            made->time = microseconds % USECS_PER_DAY;
            return PointerGetDatum(made);
          }),
          false};
}

Value text(std::string_view value) {
  return {guarded([&] {
            return PointerGetDatum(
                cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
          }),
          false};
}

Value text_or_null(const std::optional<std::string>& value) {
  return value ? text(std::string_view(*value)) : null_value();
}

namespace {

Value numeric_from_text(Amount value) {
  const std::string text = value.to_string();
  const char* source = text.c_str();
  return {guarded([&] {
            return DirectFunctionCall3(numeric_in, CStringGetDatum(source),
                                       ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
          }),
          false};
}

}  // namespace

Value numeric(Amount value) {
  const std::int64_t micros = value.micros();
  if (micros > compat_most_divided_exactly || micros < -compat_most_divided_exactly)
    return numeric_from_text(value);
  return {guarded([&] {
            Numeric exact = int64_div_fast_to_numeric(micros, Amount::scale);
            return DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(exact));
          }),
          false};
}

Value jsonb(const std::string& json) {
  const char* source = json.c_str();
  return {guarded([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(source)); }), false};
}

Value jsonb_or_null(const std::optional<std::string>& json) {
  return json ? jsonb(*json) : null_value();
}

Value bytea(const Digest& digest) {
  return {guarded([&] {
            auto* copy = static_cast<struct varlena*>(palloc(VARHDRSZ + digest.size()));
            SET_VARSIZE(copy, VARHDRSZ + digest.size());
            std::memcpy(VARDATA(copy), digest.data(), digest.size());
            return PointerGetDatum(copy);
          }),
          false};
}

namespace {

// How the elements of an array are laid out.
struct ElementType {
  Oid oid;
  int length;
  bool by_value;
  char alignment;
};

constexpr ElementType int8_element{INT8OID, 8, true, 'd'};
constexpr ElementType int4_element{INT4OID, 4, true, 'i'};
constexpr ElementType timestamptz_element{TIMESTAMPTZOID, 8, true, 'd'};
constexpr ElementType text_element{TEXTOID, -1, false, 'i'};
constexpr ElementType numeric_element{NUMERICOID, -1, false, 'i'};

Value array(std::vector<Datum> elements, const ElementType& type) {
  Datum* data = elements.data();
  const int count = static_cast<int>(elements.size());
  return {guarded([&] {
            return PointerGetDatum(
                construct_array(data, count, type.oid, type.length, type.by_value, type.alignment));
          }),
          false};
}

template <class Element, class ToDatum>
std::vector<Datum> datums(const std::vector<Element>& values, ToDatum to_datum) {
  std::vector<Datum> result;
  result.reserve(values.size());
  for (const Element& value : values) result.push_back(to_datum(value));
  return result;
}

// The elements as the array holds them; text points into the array.
struct Elements {
  Datum* values = nullptr;
  int count = 0;
};

Elements elements(Datum datum, const ElementType& type) {
  return guarded([&] {
    Elements result;
    deconstruct_array(DatumGetArrayTypeP(datum), type.oid, type.length, type.by_value,
                      type.alignment, &result.values, nullptr, &result.count);
    return result;
  });
}

}  // namespace

Value int8_array(const std::vector<std::int64_t>& values) {
  return array(datums(values, [](std::int64_t v) { return Int64GetDatum(v); }), int8_element);
}

Value int4_array(const std::vector<std::int32_t>& values) {
  return array(datums(values, [](std::int32_t v) { return Int32GetDatum(v); }), int4_element);
}

Value timestamptz_array(const std::vector<Instant>& values) {
  return array(datums(values, [](Instant v) { return TimestampTzGetDatum(v); }),
               timestamptz_element);
}

Value text_array(const std::vector<std::string>& values) {
  return array(datums(values, [](const std::string& v) { return text(v).datum; }), text_element);
}

std::vector<std::int64_t> read_int8_array(Datum datum) {
  const Elements found = elements(datum, int8_element);
  std::vector<std::int64_t> result;
  for (int i = 0; i < found.count; ++i) result.push_back(DatumGetInt64(found.values[i]));
  return result;
}

std::vector<std::int32_t> read_int4_array(Datum datum) {
  const Elements found = elements(datum, int4_element);
  std::vector<std::int32_t> result;
  for (int i = 0; i < found.count; ++i) result.push_back(DatumGetInt32(found.values[i]));
  return result;
}

std::vector<std::string> read_text_array(Datum datum) {
  const Elements found = elements(datum, text_element);
  std::vector<std::string> result;
  for (int i = 0; i < found.count; ++i) result.emplace_back(read_text(found.values[i]));
  return result;
}

std::vector<Amount> read_numeric_array(Datum datum) {
  const Elements found = elements(datum, numeric_element);
  std::vector<Amount> result;
  for (int i = 0; i < found.count; ++i) result.push_back(read_numeric(found.values[i]));
  return result;
}

std::string json_timestamptz(Instant instant) {
  if (instant == begin_of_time || instant == end_of_time) return "null";
  return guarded([&] {
    char* text = static_cast<char*>(palloc(MAXDATELEN + 1));
    JsonEncodeDateTime(text, TimestampTzGetDatum(instant), TIMESTAMPTZOID, nullptr);
    return psprintf("\"%s\"", text);
  });
}

std::string json_string(std::string_view text) {
  const std::string copy(text);
  const char* source = copy.c_str();
  return guarded([&] {
    StringInfoData quoted;
    initStringInfo(&quoted);
    escape_json(&quoted, source);
    return quoted.data;
  });
}

std::string_view read_text(Datum datum) {
  const auto* value = guarded([&] { return PG_DETOAST_DATUM_PACKED(datum); });
  return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

Amount read_numeric(Datum datum) {
  return Amount::parse(
      guarded([&] { return DatumGetCString(DirectFunctionCall1(numeric_out, datum)); }));
}

std::string read_jsonb(Datum datum) {
  return guarded([&] { return DatumGetCString(DirectFunctionCall1(jsonb_out, datum)); });
}

Digest read_digest(Datum datum) {
  Digest digest{};
  const std::string_view bytes = read_text(datum);
  std::memcpy(digest.data(), bytes.data(), std::min(bytes.size(), digest.size()));
  return digest;
}

Digest sha256(std::string_view bytes) {
  Digest digest;
  guarded([&] {
    pg_cryptohash_ctx* context = pg_cryptohash_create(PG_SHA256);
    if (pg_cryptohash_init(context) < 0 ||
        pg_cryptohash_update(context, reinterpret_cast<const uint8*>(bytes.data()), bytes.size()) <
            0 ||
        pg_cryptohash_final(context, digest.data(), digest.size()) < 0)
      elog(ERROR, "could not compute a SHA-256 digest");
    pg_cryptohash_free(context);
  });
  return digest;
}

namespace {

std::string quoted_argument(const char* name) {
  return std::string("argument \"") + name + "\"";
}

void require_printable(std::string_view value, const char* name) {
  for (const char c : value)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      throw Error(sqlstate::invalid_argument, quoted_argument(name) + " has a control character",
                  "Identifiers are printable text.",
                  "Remove line breaks, tabs and other control characters.");
}

void require_length(std::string_view value, const char* name, std::size_t limit) {
  if (value.size() <= limit) return;
  throw Error(sqlstate::invalid_argument,
              quoted_argument(name) + " is too long: " + std::to_string(value.size()) +
                  " bytes, at most " + std::to_string(limit),
              {}, "Pass a shorter value.");
}

void require_id(std::string_view value, const char* name) {
  if (value.empty())
    throw Error(sqlstate::invalid_argument, quoted_argument(name) + " is empty", {},
                std::string("Pass a value for ") + name + ".");
  require_length(value, name, longest_id);
  require_printable(value, name);
}

void require_no_nulls(Datum array, const char* name) {
  if (!guarded([&] { return array_contains_nulls(DatumGetArrayTypeP(array)); })) return;
  throw Error(sqlstate::invalid_argument, quoted_argument(name) + " contains a null", {},
              "Pass a value in every place of the array.");
}
}  // namespace

void Arguments::require(int i, const char* name) const {
  if (!is_null(i)) return;
  throw Error(sqlstate::invalid_argument, quoted_argument(name) + " is null", {},
              std::string("Pass a value for ") + name + ".");
}

std::string_view Arguments::id(int i, const char* name) const {
  require(i, name);
  const std::string_view value = read_text(datum(i));
  require_id(value, name);
  return value;
}

std::vector<std::string> Arguments::ids(int i, const char* name) const {
  require(i, name);
  require_no_nulls(datum(i), name);
  std::vector<std::string> values = read_text_array(datum(i));
  for (const std::string& value : values) require_id(value, name);
  return values;
}

std::vector<std::int64_t> Arguments::int8s(int i, const char* name) const {
  require(i, name);
  require_no_nulls(datum(i), name);
  return read_int8_array(datum(i));
}

std::vector<Amount> Arguments::amounts(int i, const char* name) const {
  require(i, name);
  require_no_nulls(datum(i), name);
  return read_numeric_array(datum(i));
}

std::optional<std::string> Arguments::optional_id(int i, const char* name) const {
  if (is_null(i)) return std::nullopt;
  return std::string(id(i, name));
}

std::optional<std::string> Arguments::optional_text(int i, const char* name,
                                                    std::size_t limit) const {
  if (is_null(i)) return std::nullopt;
  const std::string_view value = read_text(datum(i));
  require_length(value, name, limit);
  return std::string(value);
}

Amount Arguments::amount(int i, const char* name) const {
  require(i, name);
  return read_numeric(datum(i));
}

Amount Arguments::positive_amount(int i, const char* name) const {
  const Amount value = amount(i, name);
  require_positive(value, name);
  return value;
}

bool Arguments::flag(int i, const char* name) const {
  require(i, name);
  return DatumGetBool(datum(i));
}

std::int64_t Arguments::int8(int i, const char* name) const {
  require(i, name);
  return read_int8(datum(i));
}

std::int32_t Arguments::int4(int i, const char* name) const {
  require(i, name);
  return read_int4(datum(i));
}

std::optional<std::int64_t> Arguments::optional_int8(int i) const {
  if (is_null(i)) return std::nullopt;
  return read_int8(datum(i));
}

std::optional<std::string> Arguments::optional_jsonb(int i, const char* name) const {
  if (is_null(i)) return std::nullopt;
  std::string json = read_jsonb(datum(i));
  require_length(json, name, 1024 * 1024);
  return json;
}

std::optional<Instant> Arguments::optional_timestamptz(int i) const {
  if (is_null(i)) return std::nullopt;
  return read_timestamptz(datum(i));
}

std::int64_t Arguments::microseconds(int i, const char* name) const {
  require(i, name);
  const auto* span = reinterpret_cast<const ::Interval*>(DatumGetPointer(datum(i)));
  std::int64_t days = 0;
  std::int64_t sum = 0;
  if (span->month == 0 && !__builtin_mul_overflow(std::int64_t{span->day}, USECS_PER_DAY, &days) &&
      !__builtin_add_overflow(days, span->time, &sum))
    return sum;
  throw Error(sqlstate::invalid_argument, quoted_argument(name) + " has months or is out of range",
              "A month has no fixed length.", "Give it in days, hours, minutes or seconds.");
}

std::optional<std::int32_t> Arguments::optional_int4(int i) const {
  if (is_null(i)) return std::nullopt;
  return read_int4(datum(i));
}

}  // namespace purser::pg
