// Shares of a hot counter may be used up in any order without an answer changing on the way, and
// with one unit more some answer would.
#include "core/stripes.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <set>

#include "random.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

using test::Random;
using test::refused_with;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

QuotaRule any_rule(Random& random) {
  QuotaRule rule;
  if (!random.one_in(6)) rule.limit = random.between(0, 60);
  rule.levels.warn = random.small(1, 100);
  rule.levels.critical = random.small(rule.levels.warn, 100);
  rule.soft = random.one_in(3);
  rule.grace = random.one_in(3) ? random.between(0, 10) : 0;
  rule.rollover = random.one_in(3) ? random.between(0, 20) : 0;
  return rule;
}

QuotaState any_state(Random& random) {
  QuotaState state;
  state.used = random.between(0, 80);
  state.held = random.one_in(3) ? random.between(0, 20) : 0;
  state.carried = random.one_in(3) ? random.between(0, 30) : 0;
  return state;
}

// The amount is allowed, for the same reason and at the same level as nothing at all.
bool counts_quietly(const QuotaRule& rule, const QuotaState& state, std::int64_t amount) {
  const Decision decision = decide(rule, state, amount);
  return decision.allowed && crossed_level(rule, state, state.used + amount) == nullptr;
}

Reason reason_of_one_more(const QuotaRule& rule, QuotaState state, std::int64_t units) {
  state.used += units;
  return decide(rule, state, 1).reason;
}

TEST(Stripes, WhatIsCountedApartCrossesNothing) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 200'000; ++i) {
    const QuotaRule rule = any_rule(random);
    const QuotaState state = any_state(random);
    const std::int64_t units = countable_apart(rule, state, state.used);
    ASSERT_GE(units, 0);
    if (units == 0) continue;
    ASSERT_TRUE(counts_quietly(rule, state, units)) << units;
    const std::int64_t last = std::min<std::int64_t>(units, 200) - 1;
    ASSERT_EQ(reason_of_one_more(rule, state, 0), reason_of_one_more(rule, state, last)) << units;
  }
}

TEST(Stripes, OneUnitMoreWouldBeAnsweredDifferently) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 200'000; ++i) {
    const QuotaRule rule = any_rule(random);
    const QuotaState state = any_state(random);
    const std::int64_t units = countable_apart(rule, state, state.used);
    if (units > 1'000) continue;  // bounded by the range of a count alone
    const bool crosses = !counts_quietly(rule, state, units + 1);
    const bool other_reason =
        units > 0 && reason_of_one_more(rule, state, units) != reason_of_one_more(rule, state, 0);
    // A quota that ends exactly here has one more answer to give: with nothing left of it.
    const bool at_the_end = state.used + state.held + units == quota(rule, state);
    ASSERT_TRUE(crosses || other_reason || at_the_end) << units;
  }
}

TEST(Stripes, WithoutALimitTheRangeOfACountIsShared) {
  const QuotaRule unlimited;
  EXPECT_EQ(countable_apart(unlimited, {}, 0), most);
  EXPECT_EQ(countable_apart(unlimited, {AccountStatus::active, 5, 7, 0}, 100), most - 100);
  EXPECT_EQ(countable_apart(unlimited, {AccountStatus::active, most - 7, 7, 0}, 0), 0);
  EXPECT_EQ(countable_apart(unlimited, {AccountStatus::active, 0, 0, 0}, most), 0);
}

TEST(Stripes, ASoftCapThatIsPassedHasNoEnd) {
  QuotaRule rule;
  rule.limit = 100;
  rule.soft = true;
  EXPECT_EQ(countable_apart(rule, {AccountStatus::active, 99, 0, 0}, 99), 0);
  EXPECT_EQ(countable_apart(rule, {AccountStatus::active, 100, 0, 0}, 100), 0);
  EXPECT_EQ(countable_apart(rule, {AccountStatus::active, 101, 0, 0}, 101), most - 101);
}

TEST(Stripes, NobodyCountsWhatNobodyMay) {
  QuotaRule rule;
  rule.limit = 100;
  for (AccountStatus status :
       {AccountStatus::suspended, AccountStatus::banned, AccountStatus::deleted})
    EXPECT_EQ(countable_apart(rule, {status, 0, 0, 0}, 0), 0);
  rule.limit = 0;
  EXPECT_EQ(countable_apart(rule, {}, 0), 0);
}

TEST(Stripes, LimitsNearTheEndOfTheRange) {
  QuotaRule rule;
  rule.limit = most;
  rule.levels = {100, 100};
  EXPECT_EQ(countable_apart(rule, {AccountStatus::active, most - 5, 0, 0}, 0), 4);
  rule.grace = most;
  EXPECT_EQ(countable_apart(rule, {AccountStatus::active, most, 0, 0}, 0), 0);
  rule.rollover = most;
  EXPECT_EQ(countable_apart(rule, {AccountStatus::active, 0, most, most}, 0), 0);
}

TEST(Stripes, SharesAreEqualAndLoseNothing) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::int64_t units = random.one_in(2) ? random.between(0, 200) : random.between(0, most);
    const int stripes = random.small(fewest_stripes, most_stripes);
    const auto parts = shares(units, stripes);
    ASSERT_EQ(parts.size(), static_cast<std::size_t>(stripes));
    ASSERT_EQ(std::accumulate(parts.begin(), parts.end(), std::int64_t{0}), units);
    const auto [least, greatest] = std::minmax_element(parts.begin(), parts.end());
    ASSERT_LE(*greatest - *least, 1);
    ASSERT_GE(*least, 0);
  }
}

// Everything that changes what may be allotted changes the words.
TEST(Stripes, DifferentRulesHaveDifferentWords) {
  const QuotaRule plain;
  std::set<std::string> words{allotted_under(plain)};
  const auto add = [&](auto change) {
    QuotaRule rule;
    change(rule);
    EXPECT_TRUE(words.insert(allotted_under(rule)).second) << allotted_under(rule);
  };
  add([](QuotaRule& rule) { rule.limit = 0; });
  add([](QuotaRule& rule) { rule.limit = 1; });
  add([](QuotaRule& rule) { rule.limit = 10; });
  add([](QuotaRule& rule) { rule.soft = true; });
  add([](QuotaRule& rule) { rule.grace = 1; });
  add([](QuotaRule& rule) { rule.rollover = 1; });
  add([](QuotaRule& rule) { rule.levels.warn = 79; });
  add([](QuotaRule& rule) { rule.levels.critical = 91; });
}

TEST(Stripes, HowManyThereMayBe) {
  for (int stripes : {0, 2, 16, 64}) EXPECT_NO_THROW(require_stripes(stripes));
  for (std::int64_t stripes : {std::int64_t{-1}, std::int64_t{1}, std::int64_t{65}, most})
    EXPECT_TRUE(refused_with("PU014", [&] { require_stripes(stripes); })) << stripes;
}

}  // namespace
}  // namespace purser
