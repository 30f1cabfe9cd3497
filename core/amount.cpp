// Exact amounts: reading and writing decimal text, checked arithmetic. Rounding is not done here; a
// value that six decimals cannot hold is refused, never approximated.
#include "core/amount.hpp"

#include <cctype>
#include <limits>

#include "core/error.hpp"

namespace purser {
namespace {

constexpr std::size_t longest_quote = 40;
constexpr char range_detail[] =
    "An amount lies between -9223372036854.775808 and 9223372036854.775807.";

// The text as an error quotes it. Never cut inside a UTF-8 sequence: the result goes to a client.
std::string quoted(std::string_view text) {
  if (text.size() <= longest_quote) return '"' + std::string(text) + '"';
  std::size_t end = longest_quote - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return '"' + std::string(text.substr(0, end)) + "...\"";
}

[[noreturn]] void refuse_text(std::string_view text) {
  throw Error(sqlstate::invalid_amount, "invalid amount " + quoted(text),
              "An amount is written as digits with an optional sign and decimal point.",
              "Pass a number such as 12 or 0.5.");
}

[[noreturn]] void refuse_not_finite(std::string_view text) {
  throw Error(sqlstate::invalid_amount, "invalid amount " + quoted(text),
              "An amount must be a finite decimal number.", "Pass a number such as 12 or 0.5.");
}

[[noreturn]] void refuse_too_fine(std::string_view text) {
  throw Error(sqlstate::invalid_amount, "amount " + quoted(text) + " has more than 6 decimals",
              "Amounts are kept exactly, in millionths.",
              "Round the amount to 6 decimals before passing it.");
}

[[noreturn]] void refuse_out_of_range(std::string_view text) {
  throw Error(sqlstate::invalid_amount, "amount " + quoted(text) + " is out of range", range_detail,
              "Pass a smaller amount, or use a larger unit.");
}

[[noreturn]] void refuse_result(Amount a, const char* operation, Amount b) {
  throw Error(sqlstate::invalid_amount,
              "amount out of range: " + a.to_string() + operation + b.to_string(), range_detail,
              "Use smaller amounts, or a larger unit.");
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool all_digits(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text)
    if (!is_digit(c)) return false;
  return true;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool is_not_finite(std::string_view unsigned_text) {
  if (unsigned_text.size() > 8) return false;
  const std::string word = lower(unsigned_text);
  return word == "nan" || word == "infinity" || word == "inf";
}

// Appends a decimal digit. Counts downwards from zero, because the most negative value has no
// positive counterpart. False when the result does not fit.
bool append_digit(std::int64_t& negated, char digit) {
  return !__builtin_mul_overflow(negated, 10, &negated) &&
         !__builtin_sub_overflow(negated, digit - '0', &negated);
}

}  // namespace

Amount Amount::parse(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  const std::string_view magnitude = text.substr(negative ? 1 : 0);
  if (is_not_finite(magnitude)) refuse_not_finite(text);

  const std::size_t point = magnitude.find('.');
  const bool has_point = point != std::string_view::npos;
  const std::string_view whole = magnitude.substr(0, point);
  std::string_view fraction = has_point ? magnitude.substr(point + 1) : std::string_view{};
  if (!all_digits(whole) || (has_point && !all_digits(fraction))) refuse_text(text);

  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  if (fraction.size() > static_cast<std::size_t>(scale)) refuse_too_fine(text);

  std::int64_t negated = 0;
  bool fits = true;
  for (char c : whole) fits = fits && append_digit(negated, c);
  for (std::size_t i = 0; i < static_cast<std::size_t>(scale); ++i)
    fits = fits && append_digit(negated, i < fraction.size() ? fraction[i] : '0');
  if (fits && !negative) fits = !__builtin_sub_overflow(std::int64_t{0}, negated, &negated);
  if (!fits) refuse_out_of_range(text);
  return from_micros(negated);
}

std::string Amount::to_string() const {
  const bool negative = micros_ < 0;
  const std::uint64_t bits = static_cast<std::uint64_t>(micros_);
  const std::uint64_t magnitude = negative ? 0 - bits : bits;
  const std::uint64_t fraction = magnitude % static_cast<std::uint64_t>(unit);

  std::string text = negative ? "-" : "";
  text += std::to_string(magnitude / static_cast<std::uint64_t>(unit));
  if (fraction == 0) return text;

  std::string decimals = std::to_string(fraction);
  decimals.insert(0, static_cast<std::size_t>(scale) - decimals.size(), '0');
  while (decimals.back() == '0') decimals.pop_back();
  return text + '.' + decimals;
}

Amount Amount::operator+(Amount other) const {
  std::int64_t result;
  if (__builtin_add_overflow(micros_, other.micros_, &result)) refuse_result(*this, " + ", other);
  return from_micros(result);
}

Amount Amount::operator-(Amount other) const {
  std::int64_t result;
  if (__builtin_sub_overflow(micros_, other.micros_, &result)) refuse_result(*this, " - ", other);
  return from_micros(result);
}

Amount Amount::operator-() const {
  return Amount() - *this;
}

void require_positive(Amount amount, std::string_view what) {
  if (amount.is_positive()) return;
  throw Error(sqlstate::invalid_amount,
              std::string(what) + " must be positive, not " + amount.to_string(),
              "Zero and negative amounts move nothing in the direction the call names.",
              "Pass an amount greater than 0.");
}

}  // namespace purser
