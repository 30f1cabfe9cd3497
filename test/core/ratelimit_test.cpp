#include "core/ratelimit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "test/core/random.hpp"

namespace purser {
namespace {

constexpr Instant noon = 800'000'000'000'000;  // some day in 2025
constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t hour = 3600 * second;
using Exact = __int128;

// The same promise in exact arithmetic and in the plainest way: a bucket of tokens, each worth
// `window`, of which `max` flow back every microsecond.
class Bucket {
 public:
  explicit Bucket(RateLimit limit) : limit_(limit), level_(full()) {}

  RateDecision take(std::int64_t cost, Instant now) {
    level_ = std::min(full(), level_ + static_cast<Exact>(now - last_) * limit_.max);
    last_ = now;
    RateDecision decision;
    decision.allowed = cost * static_cast<Exact>(limit_.window) <= level_;
    const Exact missing = cost * static_cast<Exact>(limit_.window) - level_;
    if (decision.allowed)
      level_ -= cost * static_cast<Exact>(limit_.window);
    else
      decision.reason = RateReason::rate_limited;
    decision.retry_after = decision.allowed ? 0 : up(missing);
    decision.limit = limit_.max;
    decision.remaining = static_cast<std::int64_t>(level_ / limit_.window);
    decision.resets_at = now + up(full() - level_);
    return decision;
  }

 private:
  Exact full() const { return static_cast<Exact>(limit_.max) * limit_.window; }
  std::int64_t up(Exact tokens) const {
    return static_cast<std::int64_t>((tokens + limit_.max - 1) / limit_.max);
  }
  RateLimit limit_;
  Exact level_;
  Instant last_ = noon;
};

void expect_same(const RateDecision& ours, const RateDecision& exact) {
  EXPECT_EQ(ours.allowed, exact.allowed);
  EXPECT_EQ(ours.reason, exact.reason);
  EXPECT_EQ(ours.limit, exact.limit);
  EXPECT_EQ(ours.remaining, exact.remaining);
  EXPECT_EQ(ours.retry_after, exact.retry_after);
  EXPECT_EQ(ours.resets_at, exact.resets_at);
}

TEST(RateLimit, AgreesWithABucketInExactArithmetic) {
  SEEDED_RANDOM(random);
  for (int run = 0; run < 300; ++run) {
    // Of large limits those whose share of the window is a whole number of 2^-64 us: of others what
    // remains may be told one higher, when a fraction of a request is missing for it (at worst a
    // quarter, of 2^31 requests a microsecond).
    const RateLimit limit{
        random.one_in(4) ? std::int64_t{1} << random.between(0, 30) : random.between(1, 50),
        random.one_in(2) ? random.between(1, 1000) : random.between(1, longest_rate_window)};
    Bucket exact(limit);
    RateState state;
    Instant now = noon;
    for (int i = 0; i < 200 && !testing::Test::HasFailure(); ++i) {
      const std::int64_t cost = random.between(1, random.one_in(3) ? limit.max : 1 + limit.max / 8);
      // Often the very instant at which the refused one may pass, or the one before it.
      const RateDecision ours = take(limit, state, cost, now);
      SCOPED_TRACE("max " + std::to_string(limit.max) + ", window " + std::to_string(limit.window) +
                   ", cost " + std::to_string(cost));
      expect_same(ours, exact.take(cost, now));
      if (!ours.allowed && random.one_in(2))
        now += *ours.retry_after - (random.one_in(2) ? 1 : 0);
      else
        now += random.between(0, std::max<std::int64_t>(1, limit.window / limit.max * 3));
    }
  }
}

// In no stretch of time do more pass than the promise says, whatever the callers try.
TEST(RateLimit, NoStretchOfTimeTakesMoreThanPromised) {
  SEEDED_RANDOM(random);
  for (int run = 0; run < 200; ++run) {
    const RateLimit limit{random.between(1, 20), random.between(1, 500)};
    RateState state;
    std::vector<std::pair<Instant, std::int64_t>> passed;
    Instant now = noon;
    for (int i = 0; i < 300; ++i) {
      const std::int64_t cost = random.between(1, limit.max);
      if (take(limit, state, cost, now).allowed) passed.emplace_back(now, cost);
      now += random.between(0, 20);
    }
    for (std::size_t first = 0; first < passed.size(); ++first) {
      std::int64_t sum = 0;
      for (std::size_t last = first; last < passed.size(); ++last) {
        sum += passed[last].second;
        const std::int64_t stretch = passed[last].first - passed[first].first;
        ASSERT_LE(sum, limit.max + stretch * limit.max / limit.window);
      }
    }
  }
}

TEST(RateLimit, ABurstIsExactlyTheLimit) {
  for (const std::int64_t max : {1, 3, 7, 60, 1000}) {
    const RateLimit limit{max, hour};
    RateState state;
    for (std::int64_t i = 1; i <= max; ++i) {
      const RateDecision decision = take(limit, state, 1, noon);
      ASSERT_TRUE(decision.allowed);
      ASSERT_EQ(decision.remaining, max - i);
    }
    const RateDecision refused = take(limit, state, 1, noon);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after, (hour + max - 1) / max);
    EXPECT_EQ(refused.resets_at, noon + hour);
    EXPECT_TRUE(state.is_full(noon + hour));
    EXPECT_FALSE(state.is_full(noon + hour - 1));
    EXPECT_FALSE(take(limit, state, 1, noon + *refused.retry_after - 1).allowed);
    EXPECT_TRUE(take(limit, state, 1, noon + *refused.retry_after).allowed);
  }
}

TEST(RateLimit, ARefusalCountsNothing) {
  const RateLimit limit{5, hour};
  RateState state;
  take(limit, state, 3, noon);
  const RateState before = state;
  EXPECT_FALSE(take(limit, state, 3, noon).allowed);
  EXPECT_EQ(state.full_at, before.full_at);
  EXPECT_EQ(state.fraction, before.fraction);
  EXPECT_TRUE(take(limit, state, 2, noon).allowed) << "a smaller one still fits";
}

TEST(RateLimit, ACostAboveTheLimitCanNeverPass) {
  const RateLimit limit{5, hour};
  RateState state;
  const RateDecision decision = take(limit, state, 6, noon);
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason, RateReason::cost_exceeds_limit);
  EXPECT_FALSE(decision.retry_after);
  EXPECT_EQ(decision.remaining, 5);
  EXPECT_STREQ(to_string(decision.reason), "cost_exceeds_limit");
  EXPECT_FALSE(take(limit, state, most_requests, noon).allowed);
}

// More requests than the window has microseconds: the span of one is a fraction, never zero.
TEST(RateLimit, HugeLimitsAreExact) {
  const std::int64_t most = most_requests * largest_rate_multiplier;
  for (const RateLimit limit : {RateLimit{most_requests, 1}, RateLimit{most_requests, second},
                                RateLimit{most, 1}, RateLimit{most, longest_rate_window}}) {
    RateState state;
    EXPECT_EQ(take(limit, state, 1, noon).remaining, limit.max - 1);
    EXPECT_TRUE(take(limit, state, limit.max - 1, noon).allowed);
    EXPECT_FALSE(take(limit, state, 1, noon).allowed);
    EXPECT_EQ(take(limit, state, limit.max, noon + limit.window).remaining, 0);
  }
}

TEST(RateLimit, ALongWindowGivesBackEvenly) {
  const RateLimit limit{30, 30 * microseconds_per_day};
  RateState state;
  take(limit, state, 30, noon);
  EXPECT_FALSE(take(limit, state, 1, noon + microseconds_per_day - 1).allowed);
  EXPECT_TRUE(take(limit, state, 1, noon + microseconds_per_day).allowed);
  EXPECT_TRUE(take(limit, state, 1, noon + 2 * microseconds_per_day).allowed);
}

// A clock set back must neither hand the limit out again nor lock anybody out for long.
TEST(RateLimit, AClockThatWentBackGivesNothingBackAndWaitsAtMostAWindow) {
  const RateLimit limit{10, hour};
  RateState state;
  take(limit, state, 10, noon);
  const RateDecision back = take(limit, state, 1, noon - 100 * hour);
  EXPECT_FALSE(back.allowed);
  EXPECT_EQ(back.retry_after, hour / 10);
  EXPECT_EQ(back.resets_at, noon - 99 * hour);
  EXPECT_FALSE(take(limit, state, 1, noon).allowed) << "the refusal changed nothing";
  // Callers read their clocks before they reach the bucket, so instants arrive out of order.
  RateState shared;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(take(limit, shared, 1, noon - i).allowed);
  EXPECT_FALSE(take(limit, shared, 1, noon - 20).allowed);
  EXPECT_FALSE(take(limit, shared, 1, noon).allowed);
}

TEST(RateLimit, AnotherLimitKeepsTheRequestsCounted) {
  RateState state;
  take({10, hour}, state, 10, noon);
  RateState upgraded = state;
  EXPECT_EQ(take({50, hour}, upgraded, 1, noon).remaining, 39);
  RateState other_window = state;
  EXPECT_EQ(take({50, 60 * second}, other_window, 1, noon).remaining, 39);
  RateState downgraded = state;
  EXPECT_FALSE(take({5, hour}, downgraded, 1, noon).allowed);
  EXPECT_EQ(take({5, hour}, downgraded, 1, noon).retry_after, hour / 5);
  // Three minutes give half a request back, which does not count as a whole one.
  EXPECT_EQ(take({50, hour}, state, 1, noon + 180 * second).remaining, 39);
}

TEST(RateLimit, TheEndsOfTimeAreInstantsLikeAnyOther) {
  const Instant ends[] = {begin_of_time, begin_of_time + 1, end_of_time - 1, end_of_time};
  for (const Instant now : ends)
    for (const Instant later : ends) {
      const RateLimit limit{2, longest_rate_window};
      RateState state;
      EXPECT_EQ(take(limit, state, 2, now).remaining, 0);
      EXPECT_EQ(take(limit, state, 1, later).allowed, now < 0 && later > 0);
    }
}

}  // namespace
}  // namespace purser
