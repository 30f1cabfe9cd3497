// A quota is never exceeded and never refused too early, up to the last representable count.
#include "core/quota.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "random.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

using Wide = __int128;
using test::Random;
using test::refusal;
using test::refused_with;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

QuotaRule limited(std::int64_t limit) {
  QuotaRule rule;
  rule.limit = limit;
  return rule;
}

QuotaState active(std::int64_t used, std::int64_t held = 0, std::int64_t carried = 0) {
  return {AccountStatus::active, used, held, carried};
}

// Small counts and counts near 2^63 alike.
std::int64_t any_count(Random& random) {
  const std::int64_t small = random.between(0, 50);
  return random.one_in(2) ? small : (random.one_in(2) ? most - small : most / 3 + small);
}

TEST(Quota, AllowsExactlyWhatFits) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t limit = any_count(random), used = any_count(random),
                       held = any_count(random), amount = any_count(random);
    if (limit == 0) continue;
    const Decision decision = decide(limited(limit), active(used, held), amount);
    const Wide taken = Wide{used} + held;
    ASSERT_EQ(decision.allowed, amount == 0 || taken + amount <= limit);
    ASSERT_EQ(decision.reason, decision.allowed ? Reason::ok : Reason::quota_exceeded);
    ASSERT_EQ(decision.used, used);
    ASSERT_EQ(*decision.remaining, taken >= limit ? 0 : limit - taken);
  }
}

TEST(Quota, CountingWhatWasAllowedNeverPassesTheLimit) {
  SEEDED_RANDOM(random);
  const QuotaRule rule = limited(1000);
  for (int run = 0; run < 200; ++run) {
    QuotaState state = active(0, random.between(0, 100));
    for (int i = 0; i < 100; ++i) {
      const std::int64_t amount = random.between(0, 60);
      if (!decide(rule, state, amount).allowed) continue;
      const Decision after = counted(rule, state, amount);
      state.used += amount;
      ASSERT_EQ(after.used, state.used);
      ASSERT_EQ(*after.remaining, 1000 - state.used - state.held);
      ASSERT_LE(state.used + state.held, 1000);
    }
  }
}

TEST(Quota, RefusalNamesTheAccountBeforeTheFeatureBeforeTheAmount) {
  QuotaState state = active(5);
  EXPECT_EQ(decide(limited(0), state, 1).reason, Reason::feature_not_included);
  EXPECT_EQ(decide(limited(0), state, 0).reason, Reason::feature_not_included);
  EXPECT_EQ(decide(limited(5), state, 1).reason, Reason::quota_exceeded);
  state.status = AccountStatus::suspended;
  EXPECT_EQ(decide(limited(0), state, 1).reason, Reason::account_suspended);
  state.status = AccountStatus::banned;
  EXPECT_EQ(decide(limited(5), state, 1).reason, Reason::account_banned);
  state.status = AccountStatus::deleted;
  EXPECT_EQ(decide(QuotaRule{}, state, 0).reason, Reason::account_deleted);
}

TEST(Quota, NothingMoreIsAllowedEvenOverTheLimit) {
  const Decision decision = decide(limited(10), active(25), 0);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0);
  EXPECT_STREQ(decision.level, "exhausted");
  EXPECT_FALSE(decide(limited(10), active(25), 1).allowed);
}

TEST(Quota, UnlimitedHasNoQuotaAndNoRemainder) {
  const Decision decision = decide(QuotaRule{}, active(1'000'000), 5);
  EXPECT_TRUE(decision.allowed);
  EXPECT_FALSE(decision.quota);
  EXPECT_FALSE(decision.remaining);
  EXPECT_STREQ(decision.level, "unlimited");
}

TEST(Quota, CountBeyond64BitsIsRefusedNotWrapped) {
  EXPECT_TRUE(decide(QuotaRule{}, active(most - 5, 2), 3).allowed);
  const std::optional<Error> error = refusal([] { decide(QuotaRule{}, active(most - 5, 2), 4); });
  ASSERT_TRUE(error);
  EXPECT_STREQ(error->code, sqlstate::invalid_amount);
  EXPECT_EQ(error->message, "usage out of range: 9223372036854775802 used + 2 held + 4");
  EXPECT_TRUE(
      refused_with(sqlstate::invalid_amount, [] { counted(limited(most), active(most), 1); }));
}

TEST(Quota, NegativeAmountIsRefused) {
  EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [] { decide(QuotaRule{}, active(0), -1); }));
  EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [] { counted(limited(1), active(0), -1); }));
}

TEST(Quota, SoftCapCountsOnAndSaysSo) {
  QuotaRule rule = limited(10);
  rule.soft = true;
  EXPECT_EQ(decide(rule, active(9), 1).reason, Reason::ok);
  const Decision over = decide(rule, active(9), 5);
  EXPECT_TRUE(over.allowed);
  EXPECT_EQ(over.reason, Reason::over_quota);
  EXPECT_FALSE(over.max_amount) << "nothing bounds a call";
  const Decision after = counted(rule, active(9), 5);
  EXPECT_TRUE(after.allowed);
  EXPECT_EQ(after.reason, Reason::over_quota);
  EXPECT_EQ(after.used, 14);
  EXPECT_EQ(after.remaining, 0);
  EXPECT_EQ(after.percent, 140);
  EXPECT_STREQ(after.level, "exhausted");
  EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [&] { decide(rule, active(most), 1); }));
}

TEST(Quota, GraceAllowsSoMuchBeyondTheLimitAndNoMore) {
  QuotaRule rule = limited(10);
  rule.grace = 3;
  EXPECT_EQ(decide(rule, active(8), 2).reason, Reason::ok);
  EXPECT_EQ(decide(rule, active(8), 5).reason, Reason::over_quota);
  EXPECT_EQ(decide(rule, active(8), 5).max_amount, 5);
  EXPECT_EQ(decide(rule, active(8), 6).reason, Reason::quota_exceeded);
  EXPECT_EQ(decide(rule, active(8, 3), 3).reason, Reason::quota_exceeded) << "held counts";
  rule.limit = most;
  rule.grace = most;
  EXPECT_TRUE(decide(rule, active(most - 1), 1).allowed);
  EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [&] { decide(rule, active(most - 1), 2); }));
}

TEST(Quota, OneCallMayTakeSoMuchAndTheAnswerSaysHowMuch) {
  QuotaRule rule = limited(100);
  rule.per_call = 15;
  EXPECT_EQ(decide(rule, active(0), 15).reason, Reason::ok);
  const Decision refused = decide(rule, active(0), 16);
  EXPECT_EQ(refused.reason, Reason::per_call_exceeded);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.max_amount, 15);
  EXPECT_EQ(decide(rule, active(90), 16).max_amount, 10) << "no more than what remains";
  rule.limit.reset();
  EXPECT_EQ(decide(rule, active(0), 16).reason, Reason::per_call_exceeded);
  rule.limit = 0;
  EXPECT_EQ(decide(rule, active(0), 16).reason, Reason::feature_not_included);
  EXPECT_EQ(decide(rule, active(0), 16).max_amount, 0);
}

TEST(Quota, RollsOverWhatWasNotUsedUpToTheCeiling) {
  QuotaRule rule = limited(100);
  rule.rollover = 150;
  EXPECT_EQ(carried_over(rule, active(30), 0), 70);
  EXPECT_EQ(carried_over(rule, active(130), 0), 0) << "an overdraft is not carried";
  EXPECT_EQ(carried_over(rule, active(30, 0, 70), 0), 140) << "what was carried before included";
  EXPECT_EQ(carried_over(rule, active(0, 0, 140), 0), 150) << "the ceiling";
  EXPECT_EQ(carried_over(rule, active(30), 1), 150) << "a skipped period was not used at all";
  EXPECT_EQ(carried_over(rule, active(100), 1), 100);
  EXPECT_EQ(carried_over(QuotaRule{}, active(5), 3), 0) << "unlimited carries nothing";
  EXPECT_EQ(carried_over(limited(0), active(0), 3), 0);
  EXPECT_EQ(decide(rule, active(0, 0, 70), 170).reason, Reason::ok);
  EXPECT_EQ(decide(rule, active(0, 0, 70), 171).reason, Reason::quota_exceeded);
  EXPECT_EQ(decide(rule, active(0, 0, 70), 1).quota, 170);
  EXPECT_EQ(decide(rule, active(0, 0, 500), 1).quota, 250) << "a smaller ceiling binds at once";
  rule.rollover = 0;
  EXPECT_EQ(decide(rule, active(0, 0, 70), 1).quota, 100) << "a plan without rollover has none";
}

// One step over k skipped periods is k steps over one.
TEST(Quota, RolloverDoesNotDependOnWhenItIsLookedAt) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    QuotaRule rule = limited(random.between(1, 100));
    rule.rollover = random.between(0, 500);
    const QuotaState state = active(random.between(0, 150), 0, random.between(0, 500));
    const std::int64_t skipped = random.between(0, 8);
    std::int64_t stepwise = carried_over(rule, state, 0);
    for (std::int64_t k = 0; k < skipped; ++k)
      stepwise = carried_over(rule, active(0, 0, stepwise), 0);
    ASSERT_EQ(carried_over(rule, state, skipped), stepwise);
  }
}

TEST(Quota, RecordingNeverRefusesAndNamesWhatWouldHave) {
  QuotaState state = active(10);
  EXPECT_EQ(recorded(limited(20), state, 10).reason, Reason::ok);
  EXPECT_EQ(recorded(limited(20), state, 11).reason, Reason::over_quota);
  EXPECT_EQ(recorded(limited(0), state, 1).reason, Reason::feature_not_included);
  state.status = AccountStatus::suspended;
  const Decision suspended = recorded(limited(20), state, 5);
  EXPECT_TRUE(suspended.allowed);
  EXPECT_EQ(suspended.reason, Reason::account_suspended);
  EXPECT_EQ(suspended.used, 15);
}

TEST(Quota, TakingBackStopsAtZero) {
  EXPECT_EQ(recorded(limited(20), active(10), -10).used, 0);
  EXPECT_EQ(recorded(limited(20), active(30), -5).reason, Reason::over_quota);
  const std::optional<Error> error = refusal([] { recorded(limited(20), active(10), -11); });
  ASSERT_TRUE(error);
  EXPECT_STREQ(error->code, sqlstate::invalid_amount);
  EXPECT_EQ(error->message, "cannot take back 11: only 10 used");
  EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [] {
    recorded(QuotaRule{}, active(10), std::numeric_limits<std::int64_t>::min());
  }));
}

TEST(UsageLevel, EachCrossingIsNoticedOnce) {
  const QuotaRule rule = limited(100);
  int crossings = 0;
  for (std::int64_t used = 0; used < 130; ++used)
    crossings += crossed_level(rule, active(used), used + 1) != nullptr;
  EXPECT_EQ(crossings, 3);
  EXPECT_STREQ(crossed_level(rule, active(79), 80), "warn");
  EXPECT_STREQ(crossed_level(rule, active(89), 90), "critical");
  EXPECT_STREQ(crossed_level(rule, active(0), 100), "exhausted") << "one jump, the worst level";
  EXPECT_EQ(crossed_level(rule, active(80), 85), nullptr);
  EXPECT_EQ(crossed_level(rule, active(95), 85), nullptr) << "a correction downwards";
  EXPECT_EQ(crossed_level(QuotaRule{}, active(0), most), nullptr);
}

TEST(UsageLevel, ThresholdsAreReachedExactly) {
  const WarnLevels levels{80, 90};
  const struct {
    std::int64_t used;
    const char* level;
  } cases[] = {{0, "ok"},        {79, "ok"},       {80, "warn"},       {89, "warn"},
               {90, "critical"}, {99, "critical"}, {100, "exhausted"}, {101, "exhausted"}};
  for (const auto& expected : cases)
    EXPECT_STREQ(usage_level(expected.used, 100, levels), expected.level) << expected.used;
  EXPECT_STREQ(usage_level(2, 3, levels), "ok") << "66.7 %";
  EXPECT_STREQ(usage_level(0, 0, levels), "exhausted");
  EXPECT_STREQ(usage_level(most, std::nullopt, levels), "unlimited");
  EXPECT_STREQ(usage_level(most - 1, most, levels), "critical");
  EXPECT_STREQ(usage_level(most / 100 * 79, most, levels), "ok");
}

TEST(Quota, EveryReasonHasItsWord) {
  const struct {
    Reason reason;
    const char* word;
  } cases[] = {{Reason::ok, "ok"},
               {Reason::over_quota, "over_quota"},
               {Reason::quota_exceeded, "quota_exceeded"},
               {Reason::per_call_exceeded, "per_call_exceeded"},
               {Reason::feature_not_included, "feature_not_included"},
               {Reason::account_suspended, "account_suspended"},
               {Reason::account_banned, "account_banned"},
               {Reason::account_deleted, "account_deleted"}};
  for (const auto& expected : cases) EXPECT_STREQ(to_string(expected.reason), expected.word);
}

TEST(AccountStatus, NamesAreReadBack) {
  for (const char* name : {"active", "suspended", "banned", "deleted"}) {
    AccountStatus status;
    ASSERT_TRUE(parse_account_status(name, status));
    EXPECT_STREQ(to_string(status), name);
  }
  AccountStatus status;
  EXPECT_FALSE(parse_account_status("Active", status));
}

}  // namespace
}  // namespace purser
