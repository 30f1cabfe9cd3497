// Time passes over a wallet the same way whether somebody looks once, late, or at every instant,
// and nothing is lost or made on the way.
#include "core/wallet_time.hpp"

#include <gtest/gtest.h>

#include <map>

#include "random.hpp"

namespace purser {
namespace {

using test::Random;

constexpr Instant day = Instant{86'400} * microseconds_per_second;
constexpr Instant month = 30 * day;  // a month of these tests

Amount credits(std::int64_t whole) {
  return Amount::from_micros(whole * Amount::unit);
}

Allowance allowance(std::int64_t amount, std::int64_t percent = 0,
                    std::optional<int> days = std::nullopt,
                    std::optional<std::int64_t> multiple = std::nullopt) {
  Allowance made{credits(amount), {credits(percent), std::nullopt, days}};
  if (multiple) made.rollover.max_multiple = credits(*multiple);
  return made;
}

// Plans over time: each from an instant on, with months counted from there unless it keeps the
// months of the one before.
struct PlanFrom {
  Instant from;
  Allowance allowance;
  bool subscribed = true;
  bool new_months = true;
};

AllowanceSource plans(std::vector<PlanFrom> timeline) {
  return [timeline](Instant at) {
    Instant anchor = 0;
    std::size_t current = 0;
    for (std::size_t i = 0; i < timeline.size() && timeline[i].from <= at; ++i) {
      current = i;
      if (timeline[i].new_months) anchor = timeline[i].from;
    }
    const std::int64_t n = (at - anchor) / month;
    AllowanceTerms terms;
    terms.allowance = timeline[current].allowance;
    terms.period = {anchor + n * month, anchor + (n + 1) * month, n};
    terms.until = current + 1 < timeline.size() ? timeline[current + 1].from : end_of_time;
    terms.subscribed = timeline[current].subscribed;
    return terms;
  };
}

WalletInTime opened(const AllowanceSource& source, Instant at = 0) {
  WalletInTime wallet;
  change_allowance(wallet, source, at);
  return wallet;
}

std::string shown(const std::vector<TimedEntry>& entries) {
  std::string text;
  for (const TimedEntry& e : entries)
    text += (text.empty() ? "" : ", ") + std::string(to_string(e.passing)) + " " +
            e.part.amount.to_string() + " of " + std::to_string(e.part.grant_id) + " on day " +
            std::to_string(e.at / day);
  return text;
}

Amount spendable_at(const WalletInTime& wallet, Instant at) {
  return spendable(wallet.lots, at);
}

TEST(WalletTime, AnAllowanceBeginsWithEachPeriodAndEndsWithIt) {
  const AllowanceSource source = plans({{0, allowance(100)}});
  WalletInTime wallet = opened(source);
  EXPECT_EQ(spendable_at(wallet, 0), credits(100));
  debit(wallet.lots, credits(30), day);
  EXPECT_EQ(shown(pass_time(wallet, source, month - 1)), "");
  EXPECT_EQ(shown(pass_time(wallet, source, month)),
            "expired 70 of 1 on day 30, allowance 100 of 2 on day 30");
  EXPECT_EQ(shown(pass_time(wallet, source, 3 * month)),
            "expired 100 of 2 on day 60, allowance 100 of 3 on day 60, "
            "expired 100 of 3 on day 90, allowance 100 of 4 on day 90");
}

TEST(WalletTime, TenPercentOfWhatWasNotUsedRollsOverForThirtyDays) {
  const AllowanceSource source = plans({{0, allowance(100, 10, 30)}});
  WalletInTime wallet = opened(source);
  debit(wallet.lots, credits(40), day);
  EXPECT_EQ(shown(pass_time(wallet, source, month)),
            "rolled_over 6 of 1 on day 30, expired 54 of 1 on day 30, rollover 6 of 2 on day 30, "
            "allowance 100 of 3 on day 30");
  EXPECT_EQ(shown(pass_time(wallet, source, 2 * month)),
            "rolled_over 10 of 3 on day 60, expired 90 of 3 on day 60, rollover 10 of 4 on day 60, "
            "allowance 100 of 5 on day 60, expired 6 of 2 on day 60");
}

TEST(WalletTime, WhatRollsOverIsCappedAtAMultipleOfTheAllowance) {
  const AllowanceSource source = plans({{0, allowance(100, 100, std::nullopt, 2)}});
  WalletInTime wallet = opened(source);
  pass_time(wallet, source, 2 * month);
  EXPECT_EQ(spendable_at(wallet, 2 * month), credits(300));
  pass_time(wallet, source, 9 * month);
  EXPECT_EQ(spendable_at(wallet, 9 * month), credits(300));
}

TEST(WalletTime, ShareThatRollsOverIsRoundedDownToAMillionth) {
  Allowance third = allowance(1);
  third.rollover.percent = Amount::parse("33.333333");
  EXPECT_EQ(rolled_over(third, Amount::parse("0.000001"), Amount()), Amount());
  EXPECT_EQ(rolled_over(third, credits(1), Amount()), Amount::parse("0.333333"));
}

TEST(WalletTime, ABetterPlanGivesItsShareOfTheRestOfThePeriod) {
  const AllowanceSource source =
      plans({{0, allowance(100)}, {10 * day, allowance(400), true, false}});
  WalletInTime wallet = opened(source);
  EXPECT_EQ(shown(pass_time(wallet, source, 10 * day)), "allowance 200 of 2 on day 10");
  EXPECT_EQ(shown(pass_time(wallet, source, month)),
            "expired 100 of 1 on day 30, expired 200 of 2 on day 30, allowance 400 of 3 on day 30");
}

TEST(WalletTime, GoingDownAndUpAgainInOnePeriodGivesNothingTwice) {
  const AllowanceSource source = plans({{0, allowance(400)},
                                        {5 * day, allowance(100), true, false},
                                        {6 * day, allowance(400), true, false}});
  WalletInTime wallet = opened(source);
  EXPECT_EQ(shown(pass_time(wallet, source, 20 * day)), "");
  EXPECT_EQ(spendable_at(wallet, 20 * day), credits(400));
}

TEST(WalletTime, ANewBillingPeriodEndsTheOldOneEarly) {
  const AllowanceSource source = plans({{0, allowance(100, 10)}, {12 * day, allowance(500, 10)}});
  WalletInTime wallet = opened(source);
  EXPECT_EQ(shown(pass_time(wallet, source, 12 * day)),
            "rolled_over 10 of 1 on day 12, expired 90 of 1 on day 12, rollover 10 of 2 on day 12, "
            "allowance 500 of 3 on day 12");
}

TEST(WalletTime, HeldCreditsOutliveTheirGrantAndAreLostWhenTheyComeBack) {
  WalletInTime wallet;
  wallet.lots = {{1, "promotional", 30, 10 * day, credits(50), Amount()}};
  wallet.holds = {{"h", 15 * day, *hold(wallet.lots, credits(20), day)}};
  const AllowanceSource none = plans({{0, allowance(0)}});
  EXPECT_EQ(shown(pass_time(wallet, none, 12 * day)), "expired 30 of 1 on day 10");
  EXPECT_EQ(wallet.lots[0].held, credits(20));
  EXPECT_EQ(shown(pass_time(wallet, none, 20 * day)), "expired 20 of 1 on day 15");
}

TEST(WalletTime, WhatAHoldGivesBackWithTheEndOfThePeriodCountsAsUnused) {
  const AllowanceSource source = plans({{0, allowance(100, 50)}});
  WalletInTime wallet = opened(source);
  wallet.holds = {{"h", month, *hold(wallet.lots, credits(100), day)}};
  EXPECT_EQ(shown(pass_time(wallet, source, month)),
            "rolled_over 50 of 1 on day 30, expired 50 of 1 on day 30, rollover 50 of 2 on day 30, "
            "allowance 100 of 3 on day 30");
}

TEST(WalletTime, AfterTheSubscriptionTheDefaultPlansAllowanceDoesNotLapseWithIt) {
  const AllowanceSource source =
      plans({{0, allowance(100)}, {10 * day, allowance(30), false, true}});
  WalletInTime wallet = opened(source);
  apply_cancel_policy(wallet.lots, CancelPolicy::lapse, 10 * day, wallet.last_subscribed_grant);
  EXPECT_EQ(shown(pass_time(wallet, source, 10 * day)),
            "allowance 30 of 2 on day 10, lapsed 100 of 1 on day 10");
  EXPECT_EQ(wallet.last_subscribed_grant, 1);
  apply_cancel_policy(wallet.lots, CancelPolicy::lapse, 10 * day, wallet.last_subscribed_grant);
  EXPECT_EQ(spendable_at(wallet, 11 * day), credits(30));
}

std::vector<PlanFrom> random_timeline(Random& random) {
  std::vector<PlanFrom> timeline;
  Instant from = 0;
  for (int i = 0, n = random.small(1, 5); i < n; ++i) {
    Allowance given =
        allowance(random.small(0, 4) * 100, random.one_in(2) ? random.small(1, 100) : 0);
    if (random.one_in(2)) given.rollover.days = random.small(1, 90);
    if (random.one_in(2)) given.rollover.max_multiple = credits(random.small(1, 3));
    timeline.push_back({from, given, !random.one_in(4), i == 0 || random.one_in(2)});
    from += random.between(1, 70) * day + random.between(0, 3) * 7;
  }
  return timeline;
}

WalletInTime random_wallet(Random& random, const AllowanceSource& source) {
  WalletInTime wallet = opened(source);
  for (int i = 0, n = random.small(0, 4); i < n; ++i)
    wallet.lots.push_back({++wallet.last_grant_id, "promotional", 30,
                           random.one_in(3) ? end_of_time : random.between(1, 200) * day,
                           credits(random.small(1, 50)), Amount()});
  sort_in_debit_order(wallet.lots);
  for (int i = 0, n = random.small(0, 3); i < n; ++i)
    if (auto parts = hold(wallet.lots, credits(random.small(1, 120)), 0))
      wallet.holds.push_back({"h" + std::to_string(i), random.between(1, 120) * day, *parts});
  return wallet;
}

Amount all_of(const WalletInTime& wallet) {
  Amount sum;
  for (const Lot& lot : wallet.lots) sum += lot.remaining + lot.held;
  return sum;
}

TEST(WalletTime, InPiecesOrAtOnceComesToTheSameAndNothingIsLostOrMade) {
  Random random;
  SCOPED_TRACE(random.trace());
  for (int round = 0; round < 3'000; ++round) {
    const AllowanceSource source = plans(random_timeline(random));
    const WalletInTime begun = random_wallet(random, source);
    const Instant end = random.between(0, 400) * day;

    WalletInTime at_once = begun;
    const auto entries = pass_time(at_once, source, end);
    WalletInTime in_pieces = begun;
    std::vector<TimedEntry> pieces;
    for (Instant now = 0; now < end;) {
      now = std::min(end, now + random.between(1, 40 * day));
      const auto more = pass_time(in_pieces, source, now);
      pieces.insert(pieces.end(), more.begin(), more.end());
      ASSERT_TRUE(pass_time(in_pieces, source, now).empty());
    }
    ASSERT_EQ(shown(entries), shown(pieces)) << "round " << round;
    ASSERT_EQ(at_once.lots, in_pieces.lots);
    ASSERT_EQ(at_once.allowance, in_pieces.allowance);

    Amount expected = all_of(begun);
    Instant before = begin_of_time;
    for (const TimedEntry& entry : entries) {
      ASSERT_TRUE(entry.part.amount.is_positive());
      ASSERT_LE(before, entry.at);
      before = entry.at;
      expected += is_credit(entry.passing) ? entry.part.amount : -entry.part.amount;
    }
    ASSERT_EQ(all_of(at_once), expected);
    for (const Lot& lot : at_once.lots) {
      ASSERT_GE(lot.remaining, Amount());
      ASSERT_GE(lot.held, Amount());
      ASSERT_FALSE(lot.is_lost(end) && lot.remaining.is_positive());
    }
  }
}

}  // namespace
}  // namespace purser
