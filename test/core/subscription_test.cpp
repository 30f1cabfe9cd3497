// What time does to subscriptions: each change on its instant, in the order of the instants, and
// the same answer whenever somebody looks.
#include "core/subscription.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "random.hpp"
#include "refusal.hpp"
#include "zones.hpp"

namespace purser {
namespace {

using test::at;
using test::refused_with;

const ZoneOffset in_utc = test::utc().offset();

Subscription monthly(const char* plan, Instant start) {
  Subscription s;
  s.plan = plan;
  s.anchor = start;
  s.started_at = start;
  return s;
}

Subscription trial(const char* plan, Instant start, Instant end) {
  Subscription s = monthly(plan, start);
  s.status = SubscriptionStatus::trialing;
  s.trial_ends_at = end;
  return s;
}

std::string plan_at(const Subscription& s, Instant t) {
  const SubscriptionTerms terms = terms_at(s, t, in_utc);
  return terms.live ? terms.live->plan : "default";
}

const Instant start = at(2027, 1, 31, 15);
const Instant day_14 = at(2027, 2, 14, 15);
const Instant day_28 = at(2027, 2, 28, 15);

TEST(Subscription, GoesOnForEverUntilSomethingIsSaid) {
  const SubscriptionTerms terms = terms_at(monthly("pro", start), end_of_time - 1, in_utc);
  EXPECT_EQ(terms.live, monthly("pro", start));
  EXPECT_EQ(terms.until, end_of_time);
}

TEST(Subscription, ATrialFallsBackOnItsInstant) {
  Subscription s = trial("pro", start, day_14);
  EXPECT_EQ(terms_at(s, day_14 - 1, in_utc).live, s);
  EXPECT_EQ(terms_at(s, day_14 - 1, in_utc).until, day_14);
  EXPECT_EQ(plan_at(s, day_14), "default");
  EXPECT_EQ(terms_at(s, day_14, in_utc).until, end_of_time);

  s.fallback_plan = "basic";
  const SubscriptionTerms terms = terms_at(s, day_14, in_utc);
  ASSERT_TRUE(terms.live);
  EXPECT_EQ(terms.live->plan, "basic");
  EXPECT_EQ(terms.live->status, SubscriptionStatus::active);
  EXPECT_EQ(terms.live->anchor, start) << "billing periods go on";
  EXPECT_EQ(terms.live->started_at, day_14);
}

TEST(Subscription, ATrialThatWasPaidForDoesNotEnd) {
  Subscription s = trial("pro", start, day_14);
  s.status = SubscriptionStatus::active;
  EXPECT_EQ(plan_at(s, day_28), "pro");
}

TEST(Subscription, GraceEndsAndAnActiveOneHasNone) {
  Subscription s = monthly("pro", start);
  s.status = SubscriptionStatus::past_due;
  s.grace_ends_at = day_14;
  s.fallback_plan = "basic";
  EXPECT_EQ(plan_at(s, day_14 - 1), "pro");
  EXPECT_EQ(plan_at(s, day_14), "default") << "the fallback plan belongs to the trial";
  s.status = SubscriptionStatus::active;
  EXPECT_EQ(plan_at(s, day_14), "pro");
}

TEST(Subscription, WhatWasDueEarlierComesFirstAndTakesTheRestAlong) {
  Subscription s = trial("pro", start, day_14);
  s.fallback_plan = "basic";
  s.next = PlanChange{"team", 3, Interval::month, day_28};
  EXPECT_EQ(plan_at(s, day_28), "basic") << "the trial ended before the change";

  s.next->at = day_14 - 1;
  const SubscriptionTerms changed_first = terms_at(s, day_14 - 1, in_utc);
  ASSERT_TRUE(changed_first.live);
  EXPECT_EQ(changed_first.live->plan, "team");
  EXPECT_EQ(changed_first.live->pinned_version, 3);
  EXPECT_EQ(changed_first.live->status, SubscriptionStatus::trialing) << "a trial stays a trial";
  EXPECT_EQ(changed_first.until, day_14);
  EXPECT_EQ(plan_at(s, day_14), "basic");

  s.cancel_at = day_14 - 2;
  EXPECT_EQ(plan_at(s, day_28), "default") << "canceled before either";
}

TEST(Subscription, TiesAreDecidedInTheOrderOfTheTurns) {
  Subscription s = trial("pro", start, day_14);
  s.fallback_plan = "basic";
  s.pinned_version = 1;
  s.pinned_until = day_14;
  s.next = PlanChange{"team", std::nullopt, Interval::month, day_14};
  EXPECT_EQ(next_turn(s), (DueTurn{Turn::trial_ended, day_14}));
  s.cancel_at = day_14;
  EXPECT_EQ(next_turn(s), (DueTurn{Turn::canceled, day_14}));
  EXPECT_EQ(plan_at(s, day_14), "default");
  s.cancel_at.reset();
  s.status = SubscriptionStatus::past_due;
  s.grace_ends_at = day_14;
  EXPECT_EQ(next_turn(s), (DueTurn{Turn::grace_ended, day_14}));
  s.grace_ends_at.reset();
  EXPECT_EQ(next_turn(s), (DueTurn{Turn::plan_changed, day_14}));
  s.next.reset();
  EXPECT_EQ(next_turn(s), (DueTurn{Turn::unpinned, day_14}));
}

TEST(Subscription, APinEndsAndThePlanFollowsItsLatestVersion) {
  Subscription s = monthly("pro", start);
  s.pinned_version = 2;
  s.pinned_until = day_14;
  EXPECT_EQ(terms_at(s, day_14 - 1, in_utc).live->pinned_version, 2);
  const SubscriptionTerms terms = terms_at(s, day_14, in_utc);
  ASSERT_TRUE(terms.live);
  EXPECT_EQ(terms.live->pinned_version, std::nullopt);
  EXPECT_EQ(terms.live->started_at, start) << "it is still the same subscription";
  EXPECT_EQ(terms.until, end_of_time);
}

TEST(Subscription, AChangeKeepsTheAnchorUnlessTheIntervalChanges) {
  Subscription s = monthly("pro", start);
  s.cancel_at = at(2027, 5, 31, 15);
  s.next = PlanChange{"team", std::nullopt, Interval::month, day_28};
  EXPECT_EQ(terms_at(s, day_28, in_utc).live->anchor, start);
  EXPECT_EQ(terms_at(s, day_28, in_utc).until, at(2027, 5, 31, 15)) << "still canceled in May";
  s.next->interval = Interval::year;
  const ZoneOffset berlin = test::berlin().offset();
  EXPECT_EQ(terms_at(s, day_28, berlin).live->anchor, at(2027, 2, 28, 16));
  EXPECT_EQ(billing_period(*terms_at(s, day_28, berlin).live, day_28, berlin),
            (Period{day_28, at(2028, 2, 28, 15), 0}));
}

TEST(Subscription, BillingPeriodsKeepToTheAnchor) {
  const Subscription s = monthly("pro", start);
  EXPECT_EQ(billing_period(s, start, in_utc).end, day_28);
  EXPECT_EQ(billing_period(s, day_28, in_utc).end, at(2027, 3, 31, 15));
  Subscription yearly = monthly("pro", at(2028, 2, 29, 9));
  yearly.interval = Interval::year;
  EXPECT_EQ(billing_period(yearly, yearly.started_at, in_utc).end, at(2029, 2, 28, 9));
  EXPECT_EQ(billing_period(yearly, at(2032, 2, 28, 9), in_utc).end, at(2032, 2, 29, 9));
  EXPECT_EQ(billing_period(trial("pro", start, day_14), start + 5, in_utc),
            (Period{start, day_14, 0}));
}

// ---- properties ---------------------------------------------------------------------------------

constexpr std::int64_t horizon = 40;  // instants are small numbers, so that many coincide

std::optional<Instant> sometimes(test::Random& random) {
  if (random.one_in(2)) return std::nullopt;
  return random.between(1, horizon);
}

Subscription any_subscription(test::Random& random) {
  Subscription s = monthly("pro", 0);
  s.status = random.of(std::vector{SubscriptionStatus::trialing, SubscriptionStatus::active,
                                   SubscriptionStatus::past_due});
  s.trial_ends_at = sometimes(random);
  s.grace_ends_at = sometimes(random);
  s.cancel_at = sometimes(random);
  if (random.one_in(2)) s.fallback_plan = "basic";
  if (random.one_in(2)) s.pinned_version = 1;
  if (s.pinned_version) s.pinned_until = sometimes(random);
  if (const auto instant = sometimes(random)) {
    s.next = PlanChange{"team", std::nullopt, Interval::month, *instant};
    if (random.one_in(2)) s.next->pinned_version = 7;
    if (random.one_in(2)) s.next->interval = Interval::year;
  }
  return s;
}

// The plan by looking at the instants one after the other, with no notion of a next one.
std::string expected_plan(const Subscription& s, Instant now) {
  std::string plan = s.plan;
  for (Instant t = 1; t <= now; ++t) {
    if (s.cancel_at == t && plan != "basic") return "default";
    if (s.status == SubscriptionStatus::trialing && s.trial_ends_at == t) {
      if (!s.fallback_plan) return "default";
      return "basic";
    }
    if (s.status == SubscriptionStatus::past_due && s.grace_ends_at == t) return "default";
    if (s.next && s.next->at == t) plan = s.next->plan;
  }
  return plan;
}

std::optional<int> pin_of(const SubscriptionTerms& terms) {
  return terms.live ? terms.live->pinned_version : std::nullopt;
}

TEST(Subscription, TermsAreConstantUntilTheyChangeAndNotLonger) {
  SEEDED_RANDOM(random);
  for (int round = 0; round < 5000; ++round) {
    const Subscription s = any_subscription(random);
    SubscriptionTerms before = terms_at(s, 0, in_utc);
    for (Instant t = 1; t <= horizon + 1; ++t) {
      const SubscriptionTerms terms = terms_at(s, t, in_utc);
      if (t < before.until)
        ASSERT_EQ(terms, before) << "changed at " << t << " before " << before.until;
      else
        ASSERT_NE(terms.live, before.live) << "nothing changed at " << t;
      ASSERT_GT(terms.until, t);
      ASSERT_EQ(terms.live ? terms.live->plan : "default", expected_plan(s, t)) << "at " << t;
      before = terms;
    }
    ASSERT_EQ(before.until, end_of_time);
  }
}

TEST(Subscription, IsLiveUntilTheInstantItSays) {
  SEEDED_RANDOM(random);
  for (int round = 0; round < 5000; ++round) {
    const Subscription s = any_subscription(random);
    const Instant until = live_until(s, in_utc);
    if (until == end_of_time) {
      ASSERT_TRUE(terms_at(s, end_of_time - 1, in_utc).live);
      continue;
    }
    ASSERT_TRUE(until <= 0 || terms_at(s, until - 1, in_utc).live);
    ASSERT_FALSE(terms_at(s, until, in_utc).live);
  }
}

TEST(Subscription, WrittenDownInPiecesLateOrNeverTheTermsAreTheSame) {
  SEEDED_RANDOM(random);
  for (int round = 0; round < 5000; ++round) {
    const Subscription s = any_subscription(random);
    const Instant end = random.between(0, horizon + 1);
    std::optional<Subscription> written = s;
    for (Instant t = 0; t < end && written; t += random.between(1, 8))
      written = terms_at(*written, t, in_utc).live;
    const SubscriptionTerms at_once = terms_at(s, end, in_utc);
    if (!written)
      ASSERT_FALSE(at_once.live);
    else
      ASSERT_EQ(terms_at(*written, end, in_utc), at_once);
  }
}

TEST(Subscription, APinNeverOutlivesItsDate) {
  SEEDED_RANDOM(random);
  for (int round = 0; round < 2000; ++round) {
    const Subscription s = any_subscription(random);
    if (!s.pinned_until) continue;
    for (Instant t = *s.pinned_until; t <= horizon; ++t)
      ASSERT_NE(pin_of(terms_at(s, t, in_utc)), s.pinned_version) << "at " << t;
  }
}

TEST(Subscription, StatusesAreReadAsTheyAreWritten) {
  for (SubscriptionStatus known :
       {SubscriptionStatus::trialing, SubscriptionStatus::active, SubscriptionStatus::past_due,
        SubscriptionStatus::canceled, SubscriptionStatus::expired}) {
    SubscriptionStatus read = SubscriptionStatus::active;
    EXPECT_TRUE(parse_subscription_status(to_string(known), read));
    EXPECT_EQ(read, known);
  }
  SubscriptionStatus read = SubscriptionStatus::past_due;
  EXPECT_FALSE(parse_subscription_status("unpaid", read));
  EXPECT_EQ(read, SubscriptionStatus::past_due);
}

// ---- proration ----------------------------------------------------------------------------------

Amount amount(const char* text) {
  return Amount::parse(text);
}

TEST(Proration, IsTheShareOfThePeriodThatIsLeft) {
  const Period april{at(2027, 4, 1), at(2027, 5, 1), 0};
  EXPECT_EQ(prorated(amount("300"), amount("1200"), april, at(2027, 4, 11)), amount("600"));
  EXPECT_EQ(prorated(amount("1200"), amount("300"), april, at(2027, 4, 11)), amount("-600"));
  EXPECT_EQ(prorated(amount("0"), amount("100"), april, april.start), amount("100"));
  EXPECT_EQ(prorated(amount("0"), amount("100"), april, april.end), amount("0"));
  EXPECT_EQ(prorated(amount("0"), amount("100"), april, april.end + 5), amount("0"));
  EXPECT_EQ(prorated(amount("0"), amount("100"), april, april.start - 5), amount("100"));
}

TEST(Proration, RoundsTowardsZeroToAMillionth) {
  const Period thirds{0, 3, 0};
  EXPECT_EQ(prorated(amount("0"), amount("1"), thirds, 1), amount("0.666666"));
  EXPECT_EQ(prorated(amount("1"), amount("0"), thirds, 1), amount("-0.666666"));
  EXPECT_EQ(prorated(amount("0"), amount("0.000001"), thirds, 1), amount("0"));
}

TEST(Proration, IsExactForTheLargestAmounts) {
  const Period year{at(2028, 1, 1), at(2029, 1, 1), 0};
  const Amount most = Amount::from_micros(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(prorated(Amount(), most, year, year.start), most);
  EXPECT_EQ(prorated(most, Amount(), year, year.start), -most);
  EXPECT_TRUE(refused_with("PU013", [&] { prorated(-most, most, year, year.start); }));
}

TEST(Proration, NeverGivesMoreThanTheDifferenceAndAddsUp) {
  SEEDED_RANDOM(random);
  for (int round = 0; round < 5000; ++round) {
    const Period period{0, random.between(1, 40'000'000'000'000), 0};
    const Amount before = Amount::from_micros(random.between(0, 1'000'000'000'000));
    const Amount after = Amount::from_micros(random.between(0, 1'000'000'000'000));
    const Instant now = random.between(period.start, period.end);
    const std::int64_t worth = prorated(before, after, period, now).micros();
    const std::int64_t whole = after.micros() - before.micros();
    ASSERT_LE(std::abs(worth), std::abs(whole));
    ASSERT_EQ(worth, -prorated(after, before, period, now).micros());
    // What is left and what is gone are the whole, but for the rounding of each.
    const Instant mirrored = period.end - now;
    const std::int64_t gone = prorated(before, after, period, mirrored).micros();
    ASSERT_LE(std::abs(whole - worth - gone), 1);
  }
}

}  // namespace
}  // namespace purser
