// What one call asks for at once is read completely or refused with the reason.
#include "core/request.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

using test::refused_with;

TEST(Request, AmountsAreReadInTheOrderOfTheirLocks) {
  const Amounts amounts =
      read_amounts(R"({"minutes": 10, "a": 1, "interviews": 9223372036854775807})");
  ASSERT_EQ(amounts.size(), 3u);
  EXPECT_EQ(amounts.begin()->first, "a");
  EXPECT_EQ(amounts.at("minutes"), 10);
  EXPECT_EQ(amounts.at("interviews"), 9223372036854775807);
}

TEST(Request, WhatIsNoAmountIsRefused) {
  for (const char* amount :
       {"0", "-1", "1.5", "1e3", "\"1\"", "null", "[]", "true", "9223372036854775808"})
    EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [&] {
      read_amounts(std::string(R"({"minutes": )") + amount + "}");
    })) << amount;
  for (const char* document : {"", "null", "[]", "1", "{", "{}"})
    EXPECT_TRUE(refused_with(sqlstate::invalid_argument, [&] { read_amounts(document); }))
        << document;
}

TEST(Request, AHundredFeaturesAndNoMore) {
  const auto amounts_of = [](int count) {
    std::string json;
    for (int i = 0; i < count; ++i)
      json += (json.empty() ? "{\"f" : ",\"f") + std::to_string(i) + "\":1";
    return json + "}";
  };
  EXPECT_EQ(read_amounts(amounts_of(100)).size(), 100u);
  EXPECT_TRUE(refused_with(sqlstate::limit_reached, [&] { read_amounts(amounts_of(101)); }));
}

}  // namespace
}  // namespace purser
