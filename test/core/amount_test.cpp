// Amounts are exact: whatever arbitrary precision says, or an error; never a rounded or a wrapped
// value.
#include "core/amount.hpp"

#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <limits>
#include <optional>

#include "random.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

using boost::multiprecision::cpp_int;
using test::Random;
using test::refusal;
using test::refused_with;

const cpp_int lowest = std::numeric_limits<std::int64_t>::min();
const cpp_int highest = std::numeric_limits<std::int64_t>::max();

std::string digits(Random& random, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>('0' + random.small(0, 9));
  return text;
}

struct Decimal {
  std::string text;
  std::optional<cpp_int> micros;  // absent when six decimals do not hold it
};

Decimal random_decimal(Random& random) {
  const bool negative = random.one_in(2);
  const std::string whole = digits(random, random.small(1, random.one_in(4) ? 40 : 15));
  std::string fraction = digits(random, random.small(0, 8));
  if (random.one_in(2)) fraction += std::string(static_cast<std::size_t>(random.small(0, 9)), '0');

  Decimal decimal;
  decimal.text = (negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
  fraction.resize(std::max<std::size_t>(fraction.size(), 6), '0');
  if (fraction.find_first_not_of('0', 6) == std::string::npos) {
    // Boost reads a leading zero as octal.
    const std::string scaled = whole + fraction.substr(0, 6);
    const std::size_t first = std::min(scaled.find_first_not_of('0'), scaled.size() - 1);
    decimal.micros = cpp_int(scaled.substr(first)) * (negative ? -1 : 1);
  }
  return decimal;
}

TEST(Amount, ParsesLikeArbitraryPrecisionOrRefuses) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 200'000; ++i) {
    const Decimal decimal = random_decimal(random);
    const bool fits = decimal.micros && *decimal.micros >= lowest && *decimal.micros <= highest;
    if (fits) {
      ASSERT_EQ(Amount::parse(decimal.text).micros(), *decimal.micros) << decimal.text;
    } else {
      ASSERT_TRUE(refused_with(sqlstate::invalid_amount, [&] { Amount::parse(decimal.text); }))
          << decimal.text;
    }
  }
}

TEST(Amount, TextIsShortestAndReadsBack) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t micros = random.between(std::numeric_limits<std::int64_t>::min(),
                                               std::numeric_limits<std::int64_t>::max()) >>
                                random.small(0, 62);
    const std::string text = Amount::from_micros(micros).to_string();
    ASSERT_EQ(Amount::parse(text).micros(), micros) << text;
    if (text.find('.') != std::string::npos) {
      ASSERT_NE(text.back(), '0') << text;
    }
  }
  EXPECT_EQ(Amount::parse("12").to_string(), "12");
  EXPECT_EQ(Amount::parse("-0.500000").to_string(), "-0.5");
  EXPECT_EQ(Amount::parse("-3.000001").to_string(), "-3.000001");
  EXPECT_EQ(Amount::parse("-0").to_string(), "0");
  EXPECT_EQ(Amount::parse("100.00").to_string(), "100");
}

TEST(Amount, ArithmeticIsExactOrRefused) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 100'000; ++i) {
    const auto any = [&] {
      return random.between(std::numeric_limits<std::int64_t>::min(),
                            std::numeric_limits<std::int64_t>::max()) >>
             random.small(0, 3);
    };
    const Amount a = Amount::from_micros(any()), b = Amount::from_micros(any());
    const auto agrees = [](const cpp_int& expected, auto&& call) {
      if (expected < lowest || expected > highest)
        return refused_with(sqlstate::invalid_amount, call);
      return cpp_int(call().micros()) == expected;
    };
    ASSERT_TRUE(agrees(cpp_int(a.micros()) + b.micros(), [&] { return a + b; }));
    ASSERT_TRUE(agrees(cpp_int(a.micros()) - b.micros(), [&] { return a - b; }));
    ASSERT_TRUE(agrees(-cpp_int(a.micros()), [&] { return -a; }));
  }
}

TEST(Amount, EndsOfTheRangeAreIncluded) {
  EXPECT_EQ(Amount::parse("9223372036854.775807").micros(), highest);
  EXPECT_EQ(Amount::parse("-9223372036854.775808").micros(), lowest);
  EXPECT_EQ(Amount::from_micros(std::numeric_limits<std::int64_t>::min()).to_string(),
            "-9223372036854.775808");
  // The last one is a multiple of 2^64, and would come out as 0 if it wrapped.
  for (const std::string& text : {std::string("9223372036854.775808"),
                                  std::string("-9223372036854.775809"), '1' + std::string(70, '0')})
    EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [&] { Amount::parse(text); })) << text;
}

TEST(Amount, RefusesWhatIsNotADecimalNumber) {
  for (const char* text : {"", "-", "+1", ".5", "5.", "1e3", "1E3", " 1", "1 ", "0x10", "1,5",
                           "--1", "1.2.3", "NaN", "Infinity", "-Infinity", "١"})
    EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [&] { Amount::parse(text); })) << text;
}

TEST(Amount, RefusalNamesTheValueTheReasonAndTheWayOut) {
  const std::optional<Error> not_finite = refusal([] { Amount::parse("NaN"); });
  ASSERT_TRUE(not_finite);
  EXPECT_EQ(not_finite->message, "invalid amount \"NaN\"");
  EXPECT_EQ(not_finite->detail, "An amount must be a finite decimal number.");
  EXPECT_FALSE(not_finite->hint.empty());
  EXPECT_EQ(refusal([] { Amount::parse("0.0000001"); })->message,
            "amount \"0.0000001\" has more than 6 decimals");
  EXPECT_LT(refusal([] { Amount::parse(std::string(5000, '9')); })->message.size(), 80u);
  // A long text is not cut inside a character.
  const std::string umlauts = refusal([] {
                                std::string text = "x";
                                for (int i = 0; i < 50; ++i) text += "ä";
                                Amount::parse(text);
                              })->message;
  EXPECT_NE(umlauts.find("ä...\""), std::string::npos) << umlauts;
}

TEST(Amount, RequirePositiveNamesTheArgument) {
  EXPECT_FALSE(refusal([] { require_positive(Amount::from_micros(1), "charge"); }));
  const std::optional<Error> zero = refusal([] { require_positive(Amount(), "charge"); });
  ASSERT_TRUE(zero);
  EXPECT_STREQ(zero->code, sqlstate::invalid_amount);
  EXPECT_EQ(zero->message, "charge must be positive, not 0");
  EXPECT_EQ(refusal([] { require_positive(Amount::parse("-1.5"), "refund"); })->message,
            "refund must be positive, not -1.5");
}

}  // namespace
}  // namespace purser
