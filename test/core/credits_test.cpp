// Credits are spent in the stated order, none is lost or made, and a plan that cannot be carried
// out whole changes nothing.
#include "core/credits.hpp"

#include <gtest/gtest.h>

#include <map>

#include "core/wallet_time.hpp"
#include "random.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

using test::Random;
using test::refused_with;

constexpr Instant now = 1'000;

Amount credits(std::int64_t whole) {
  return Amount::from_micros(whole * Amount::unit);
}

Lot lot(std::int64_t grant_id, int priority, Instant expires_at, std::int64_t remaining,
        std::int64_t held = 0) {
  return {grant_id, "purchased", priority, expires_at, credits(remaining), credits(held)};
}

// What time takes of the lots by `at`, where no allowance and no hold is at stake.
std::vector<Allocation> lost_by(std::vector<Lot>& lots, Instant at) {
  WalletInTime wallet;
  wallet.lots = lots;
  std::vector<Allocation> lost;
  for (const TimedEntry& entry : pass_time(wallet, {}, at)) lost.push_back(entry.part);
  // In the order they had, which passing time does not keep.
  for (Lot& lot : lots)
    for (const Lot& after : wallet.lots)
      if (after.grant_id == lot.grant_id) lot = after;
  return lost;
}

std::vector<Lot> random_lots(Random& random) {
  std::vector<Lot> lots;
  const int count = random.small(0, 12);
  for (int i = 0; i < count; ++i) {
    const Instant expires_at = random.one_in(3) ? end_of_time : random.between(990, 1'010);
    lots.push_back(
        lot(i + 1, random.small(1, 4), expires_at, random.between(0, 20), random.between(0, 3)));
  }
  sort_in_debit_order(lots);
  return lots;
}

Amount sum_remaining(const std::vector<Lot>& lots) {
  Amount sum;
  for (const Lot& each : lots) sum += each.remaining;
  return sum;
}

Amount sum_held(const std::vector<Lot>& lots) {
  Amount sum;
  for (const Lot& each : lots) sum += each.held;
  return sum;
}

TEST(Debit, NeverSkipsASpendableGrant) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::vector<Lot> before = random_lots(random);
    std::vector<Lot> after = before;
    const Amount amount = credits(random.between(1, 100));
    const auto taken = debit(after, amount, now);
    ASSERT_EQ(taken.has_value(), amount <= spendable(before, now));
    if (!taken) {
      ASSERT_EQ(after, before) << "a shortfall changes nothing";
      continue;
    }
    // Once a lot still holds something to spend, no lot after it was touched.
    bool left_over = false;
    for (std::size_t k = 0; k < before.size(); ++k) {
      const bool touched = after[k].remaining != before[k].remaining;
      ASSERT_FALSE(touched && left_over) << "lot " << k << " spent before one that comes earlier";
      ASSERT_FALSE(touched && before[k].expires_at <= now) << "expired lot spent";
      ASSERT_GE(after[k].remaining, Amount());
      left_over |= before[k].expires_at > now && after[k].remaining.is_positive();
    }
  }
}

TEST(Debit, ConservesCreditsAndLeavesHoldsAlone) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::vector<Lot> before = random_lots(random);
    std::vector<Lot> after = before;
    const Amount amount = credits(random.between(0, 60));
    const auto taken = debit(after, amount, now);
    if (!taken) continue;
    ASSERT_EQ(total(*taken), amount);
    ASSERT_EQ(sum_remaining(after) + amount, sum_remaining(before));
    std::map<std::int64_t, Amount> borne;
    for (const Allocation& allocation : *taken) {
      ASSERT_TRUE(allocation.amount.is_positive());
      ASSERT_TRUE(borne.emplace(allocation.grant_id, allocation.amount).second);
    }
    for (std::size_t k = 0; k < before.size(); ++k) {
      ASSERT_EQ(after[k].remaining + borne[after[k].grant_id], before[k].remaining);
      ASSERT_EQ(after[k].held, before[k].held);
    }
  }
}

TEST(Debit, GoesByPriorityThenExpiryThenAge) {
  std::vector<Lot> lots = {lot(1, 60, end_of_time, 5), lot(2, 10, 3'000, 5), lot(3, 10, 2'000, 5),
                           lot(4, 10, 2'000, 5), lot(5, 20, 1'500, 5)};
  sort_in_debit_order(lots);
  const auto taken = debit(lots, credits(25), now);
  ASSERT_TRUE(taken);
  std::vector<std::int64_t> order;
  for (const Allocation& allocation : *taken) order.push_back(allocation.grant_id);
  EXPECT_EQ(order, (std::vector<std::int64_t>{3, 4, 2, 5, 1}));
}

TEST(Debit, ALotIsGoneAtTheInstantItExpires) {
  std::vector<Lot> lots = {lot(1, 10, now, 5)};
  EXPECT_FALSE(debit(lots, credits(1), now));
  EXPECT_TRUE(debit(lots, credits(1), now - 1));
}

TEST(Debit, NothingIsTakenForZeroAndNegativeIsRefused) {
  std::vector<Lot> lots = {lot(1, 10, end_of_time, 5)};
  const auto taken = debit(lots, Amount(), now);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->empty());
  EXPECT_TRUE(refused_with(sqlstate::invalid_amount, [&] { debit(lots, credits(-1), now); }));
}

TEST(Debit, LotsWorthMoreThanAnAmountCanSayAreStillSpendable) {
  const Amount half = Amount::from_micros(std::numeric_limits<std::int64_t>::max());
  std::vector<Lot> lots = {lot(1, 10, end_of_time, 0), lot(2, 10, end_of_time, 0)};
  lots[0].remaining = lots[1].remaining = half;
  const auto taken = debit(lots, half, now);
  ASSERT_TRUE(taken);
  EXPECT_EQ(total(*taken), half);
}

TEST(Expiry, TakesTheUnheldRemainderOfExpiredLotsOldestFirst) {
  std::vector<Lot> lots = {lot(1, 10, 900, 5, 2), lot(2, 10, 800, 3), lot(3, 10, now, 1),
                           lot(4, 10, now + 1, 7), lot(5, 10, 700, 0, 4)};
  const std::vector<Allocation> lapsed = lost_by(lots, now);
  EXPECT_EQ(lapsed, (std::vector<Allocation>{{2, "purchased", credits(3)},
                                             {1, "purchased", credits(5)},
                                             {3, "purchased", credits(1)}}));
  EXPECT_EQ(lots[0].held, credits(2));
  EXPECT_EQ(lots[3].remaining, credits(7));
  EXPECT_TRUE(lost_by(lots, now).empty()) << "lapses once";
}

TEST(Expiry, ConservesCreditsAndNeverTakesAHold) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::vector<Lot> before = random_lots(random);
    std::vector<Lot> after = before;
    const std::vector<Allocation> lapsed = lost_by(after, now);
    ASSERT_EQ(sum_remaining(after) + total(lapsed), sum_remaining(before));
    ASSERT_EQ(sum_held(after), sum_held(before));
    ASSERT_EQ(spendable(after, now), spendable(before, now));
    ASSERT_EQ(sum_remaining(after), spendable(after, now));
    drop_empty(after);
    ASSERT_EQ(sum_held(after), sum_held(before));
    ASSERT_EQ(spendable(after, now), spendable(before, now));
    for (const Lot& each : after)
      ASSERT_TRUE(each.remaining.is_positive() || each.held.is_positive());
  }
}

// Lots of every kind, as random_lots() makes them.
std::vector<Lot> random_lots_of_all_kinds(Random& random) {
  static constexpr const char* kinds[] = {"monthly", "rollover",   "promotional",
                                          "refund",  "adjustment", "purchased"};
  std::vector<Lot> lots = random_lots(random);
  for (Lot& each : lots) each.kind = kinds[random.small(0, 5)];
  return lots;
}

std::vector<Lot> under(std::vector<Lot> lots, CancelPolicy policy, Instant until) {
  apply_cancel_policy(lots, policy, until);
  return lots;
}

Amount sum_remaining_of_subscription(const std::vector<Lot>& lots, bool of_subscription) {
  Amount sum;
  for (const Lot& each : lots)
    if (is_subscription_kind(each.kind) == of_subscription) sum += each.remaining;
  return sum;
}

TEST(CancelPolicies, ChangeNothingBeforeTheSubscriptionEndsNorWithoutAnEnd) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 5'000; ++i) {
    const std::vector<Lot> lots = random_lots_of_all_kinds(random);
    for (CancelPolicy policy : {CancelPolicy::keep, CancelPolicy::freeze, CancelPolicy::lapse})
      for (Instant until : {now + 1, end_of_time}) {
        ASSERT_EQ(spendable(under(lots, policy, until), now), spendable(lots, now));
        ASSERT_EQ(has_expired(under(lots, policy, until), now), has_expired(lots, now));
      }
    ASSERT_EQ(spendable(under(lots, CancelPolicy::lapse, end_of_time), end_of_time),
              spendable(lots, end_of_time));
    ASSERT_EQ(under(lots, CancelPolicy::keep, 0), lots);
  }
}

TEST(CancelPolicies, ChargesConserveCreditsAndNeverTakeAFrozenOrLostLot) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const CancelPolicy policy = random.one_in(2) ? CancelPolicy::freeze : CancelPolicy::lapse;
    const std::vector<Lot> before =
        under(random_lots_of_all_kinds(random), policy, random.between(995, 1'000));
    std::vector<Lot> after = before;
    const Amount amount = credits(random.between(0, 60));
    const auto taken = debit(after, amount, now);
    ASSERT_EQ(taken.has_value(), amount <= spendable(before, now));
    if (taken) {
      ASSERT_EQ(sum_remaining(after) + amount, sum_remaining(before));
    }
    ASSERT_EQ(sum_remaining_of_subscription(after, true),
              sum_remaining_of_subscription(before, true));
  }
}

TEST(CancelPolicies, AFreezeTakesNothingAndThawsWithTheNextSubscription) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::vector<Lot> lots = random_lots_of_all_kinds(random);
    std::vector<Lot> frozen = under(lots, CancelPolicy::freeze, random.between(1, now));
    std::vector<Lot> expired = lots;
    ASSERT_EQ(lost_by(frozen, now), lost_by(expired, now));
    ASSERT_EQ(under(frozen, CancelPolicy::freeze, end_of_time), expired);
  }
}

TEST(CancelPolicies, ALapseLeavesExactlyWhatIsNotOfTheSubscription) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::vector<Lot> lots = random_lots_of_all_kinds(random);
    std::vector<Lot> lapsed = under(lots, CancelPolicy::lapse, random.between(995, 1'000));
    const Amount left = spendable(lapsed, now);
    const std::vector<Allocation> taken = lost_by(lapsed, now);
    ASSERT_EQ(sum_remaining(lapsed) + total(taken), sum_remaining(lots));
    ASSERT_EQ(sum_held(lapsed), sum_held(lots));
    ASSERT_EQ(sum_remaining(lapsed), left);
    ASSERT_TRUE(sum_remaining_of_subscription(lapsed, true).is_zero());
    ASSERT_FALSE(has_expired(lapsed, now));
    ASSERT_EQ(under(lapsed, CancelPolicy::keep, 0).size(), lots.size());
    for (std::size_t k = 0; k < lots.size(); ++k)
      ASSERT_EQ(lapsed[k].expires_at, lots[k].expires_at);
  }
}

TEST(CancelPolicies, AreReadByName) {
  CancelPolicy policy = CancelPolicy::lapse;
  EXPECT_FALSE(parse_cancel_policy("", policy));
  EXPECT_FALSE(parse_cancel_policy("burn", policy));
  EXPECT_EQ(policy, CancelPolicy::lapse);
  EXPECT_TRUE(parse_cancel_policy("keep", policy));
  EXPECT_EQ(policy, CancelPolicy::keep);
  EXPECT_TRUE(parse_cancel_policy("freeze", policy));
  EXPECT_EQ(policy, CancelPolicy::freeze);
  EXPECT_TRUE(parse_cancel_policy("lapse", policy));
  EXPECT_EQ(policy, CancelPolicy::lapse);
}

TEST(Refund, GivesBackLastDebitedFirst) {
  const std::vector<Allocation> charged = {
      {1, "monthly", credits(5)}, {2, "rollover", credits(3)}, {3, "purchased", credits(4)}};
  EXPECT_EQ(plan_refund(charged, {}, credits(6)),
            (std::vector<Allocation>{{3, "purchased", credits(4)}, {2, "rollover", credits(2)}}));
  EXPECT_EQ(
      plan_refund(charged, {{3, "purchased", credits(4)}, {2, "rollover", credits(2)}}, credits(2)),
      (std::vector<Allocation>{{2, "rollover", credits(1)}, {1, "monthly", credits(1)}}));
  EXPECT_FALSE(plan_refund(charged, {}, credits(13)));
  EXPECT_FALSE(plan_refund(charged, {{1, "monthly", credits(1)}}, credits(12)));
  EXPECT_TRUE(
      refused_with(sqlstate::invalid_amount, [&] { plan_refund(charged, {}, credits(-1)); }));
}

TEST(Refund, AGrantThatBoreTwoPartsIsCountedOnce) {
  const std::vector<Allocation> charged = {
      {1, "monthly", credits(5)}, {2, "rollover", credits(3)}, {1, "monthly", credits(4)}};
  EXPECT_EQ(plan_refund(charged, {{1, "monthly", credits(4)}}, credits(8)),
            (std::vector<Allocation>{{2, "rollover", credits(3)}, {1, "monthly", credits(5)}}));
  EXPECT_FALSE(plan_refund(charged, {{1, "monthly", credits(9)}}, credits(4)));
}

TEST(Refund, PiecesGiveBackExactlyWhatWasCharged) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 5'000; ++i) {
    std::vector<Lot> lots = random_lots(random);
    const Amount charge = credits(random.between(1, 60));
    const auto charged = debit(lots, charge, now);
    if (!charged) continue;
    std::vector<Allocation> refunded;
    Amount left = charge;
    while (left.is_positive()) {
      ASSERT_FALSE(plan_refund(*charged, refunded, left + Amount::from_micros(1)));
      const Amount piece = Amount::from_micros(random.between(1, left.micros()));
      const auto given = plan_refund(*charged, refunded, piece);
      ASSERT_TRUE(given);
      ASSERT_EQ(total(*given), piece);
      refunded.insert(refunded.end(), given->begin(), given->end());
      left -= piece;
    }
    std::map<std::int64_t, Amount> difference;
    for (const Allocation& allocation : *charged)
      difference[allocation.grant_id] += allocation.amount;
    for (const Allocation& allocation : refunded)
      difference[allocation.grant_id] -= allocation.amount;
    for (const auto& [grant_id, amount] : difference) ASSERT_TRUE(amount.is_zero()) << grant_id;
  }
}

TEST(Priority, KindsHaveTheirDocumentedOrder) {
  int previous = 0;
  for (const char* kind :
       {"monthly", "rollover", "promotional", "refund", "adjustment", "purchased"}) {
    int priority = 0;
    ASSERT_TRUE(default_priority(kind, priority)) << kind;
    EXPECT_EQ(priority, previous + 10);
    previous = priority;
  }
  int untouched = 7;
  EXPECT_FALSE(default_priority("gift", untouched));
  EXPECT_EQ(untouched, 7);
}

TEST(Hold, WhatIsHeldLaterJoinsThePartsOfItsGrants) {
  std::vector<Lot> lots{lot(1, 10, end_of_time, 5, 2), lot(2, 20, end_of_time, 4)};
  std::vector<Allocation> parts{{1, "purchased", credits(2)}};
  const auto more = hold(lots, credits(7), now);
  ASSERT_TRUE(more);
  add_parts(parts, *more);
  ASSERT_EQ(parts,
            (std::vector<Allocation>{{1, "purchased", credits(7)}, {2, "purchased", credits(2)}}));
  capture_held(lots, take_first(parts, credits(9)));
  EXPECT_EQ(lots[0].held + lots[1].held, Amount());
  EXPECT_EQ(lots[0].remaining + lots[1].remaining, credits(2));
}

}  // namespace
}  // namespace purser
