// Exact decimal amounts with six places, the only type credits and money are computed in.
#pragma once
#include "core/pure.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace purser {

// A signed count of millionths in 64 bits: ±9,223,372,036,854.775807. Arithmetic is checked: a
// result outside that range raises PU013 and never wraps.
class Amount {
 public:
  static constexpr int scale = 6;
  static constexpr std::int64_t unit = 1'000'000;

  constexpr Amount() = default;
  static constexpr Amount from_micros(std::int64_t micros) { return Amount(micros); }

  // Reads what numeric_out writes: "12", "-0.5", "1e3" is refused. PU013 for NaN, infinities, more
  // than six decimals (trailing zeros do not count) and values out of range; PU013 for anything
  // that is not a number at all. The message quotes the text, shortened when it is long.
  static Amount parse(std::string_view text);

  constexpr std::int64_t micros() const { return micros_; }

  // Shortest exact form: "12", "0.5", "-3.000001".
  std::string to_string() const;

  Amount operator+(Amount other) const;
  Amount operator-(Amount other) const;
  Amount operator-() const;
  Amount& operator+=(Amount other) { return *this = *this + other; }
  Amount& operator-=(Amount other) { return *this = *this - other; }

  constexpr auto operator<=>(const Amount&) const = default;
  constexpr bool is_zero() const { return micros_ == 0; }
  constexpr bool is_positive() const { return micros_ > 0; }

 private:
  constexpr explicit Amount(std::int64_t micros) : micros_(micros) {}
  std::int64_t micros_ = 0;
};

// Refuses zero and negative amounts with PU013; `what` names the argument in the message.
void require_positive(Amount amount, std::string_view what);

}  // namespace purser
