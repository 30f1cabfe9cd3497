// Passing time over a wallet. At one instant holds expire first, so that what they give back counts
// as unused; then a period ends and the next begins; then whatever has ended is lost.
#include "core/wallet_time.hpp"

#include <algorithm>
#include <tuple>

#include "core/subscription.hpp"

namespace purser {
namespace {

constexpr Instant microseconds_per_day = Instant{86'400} * microseconds_per_second;

class Clockwork {
 public:
  Clockwork(WalletInTime& wallet, const AllowanceSource& source)
      : wallet_(wallet), source_(source) {}

  void run_until(Instant now) {
    for (Instant due = next_due(wallet_); is_past(due, now); due = next_due(wallet_)) {
      lose_until(due - 1, begin_of_time);
      expire_holds(due);
      if (is_past(wallet_.allowance.due, due)) look_at_allowance(due);
      lose_until(due, due);
    }
    lose_until(now, begin_of_time);
    sort_in_debit_order(wallet_.lots);
  }

  void look_at_allowance(Instant at) {
    const AllowanceTerms terms = source_(at);
    const AllowanceState before = wallet_.allowance;
    const bool begins =
        before.period_end <= at || (terms.period.start == at && before.period_start != at);
    if (begins) end_period(at);
    if (begins && before.period_end != begin_of_time)
      wallet_.ended.push_back({before.period_start, at, 0});
    follow_subscription(before, terms.subscribed);
    if (begins)
      grant("monthly", Passing::allowance, terms.allowance.amount, terms.period.end, at);
    else
      grant_difference(terms, at);
    store_terms(terms, begins, at);
  }

  std::vector<TimedEntry> entries;

 private:
  // Holds of one instant in the order of their ids, so that it does not matter who looks.
  void expire_holds(Instant at) {
    for (OpenHold& hold : wallet_.holds)
      if (hold.expires_at <= at) give_back_held(wallet_.lots, hold.parts);
    std::erase_if(wallet_.holds, [at](const OpenHold& hold) { return hold.expires_at <= at; });
  }

  // What ended by then is lost: when it ended, or when it came back from a hold after that.
  void lose_until(Instant until, Instant came_back) {
    std::vector<Lot*> lost;
    for (Lot& lot : wallet_.lots)
      if (lot.is_lost(until) && lot.remaining.is_positive()) lost.push_back(&lot);
    std::sort(lost.begin(), lost.end(), [](const Lot* a, const Lot* b) {
      const Instant a_ends = a->ends_at(), b_ends = b->ends_at();
      return std::tie(a_ends, a->grant_id) < std::tie(b_ends, b->grant_id);
    });
    for (Lot* lot : lost)
      take(*lot, lot->remaining,
           lot->expires_at <= lot->lapses_at ? Passing::expired : Passing::lapsed,
           std::max(lot->ends_at(), came_back));
  }

  void take(Lot& lot, Amount amount, Passing passing, Instant at) {
    if (!amount.is_positive()) return;
    lot.remaining -= amount;
    entries.push_back({passing, at, {lot.grant_id, lot.kind, amount}, {}});
  }

  // The unused monthly credits of the period, in debit order. A lot that lapses does not roll over.
  std::vector<Lot*> unused(Instant at) {
    std::vector<Lot*> lots;
    for (Lot& lot : wallet_.lots)
      if (lot.kind == "monthly" && lot.expires_at == wallet_.allowance.period_end &&
          lot.remaining.is_positive() && !(lot.lapses_at <= at && lot.lapses_at < lot.expires_at))
        lots.push_back(&lot);
    std::sort(lots.begin(), lots.end(),
              [](const Lot* a, const Lot* b) { return debited_before(*a, *b); });
    return lots;
  }

  Amount rolled_over_before(Instant at) const {
    Amount sum;
    for (const Lot& lot : wallet_.lots)
      if (lot.kind == "rollover" && !lot.is_lost(at)) sum += lot.remaining + lot.held;
    return sum;
  }

  void end_period(Instant at) {
    const std::vector<Lot*> lots = unused(at);
    Amount sum;
    for (const Lot* lot : lots) sum += lot->remaining;
    const Rollover& rollover = wallet_.allowance.allowance.rollover;
    const Amount share = rolled_over(wallet_.allowance.allowance, sum, rolled_over_before(at));
    Amount left = share;
    for (Lot* lot : lots) {
      const Amount part = std::min(left, lot->remaining);
      take(*lot, part, Passing::rolled_over, at);
      left -= part;
      take(*lot, lot->remaining, Passing::expired, at);
    }
    const Instant ends = rollover.days ? at + *rollover.days * microseconds_per_day : end_of_time;
    grant("rollover", Passing::rollover, share, ends, at);
  }

  // Once the subscription is over, what comes afterwards does not end with it; nor does anything in
  // a wallet that was made afterwards.
  void follow_subscription(const AllowanceState& before, bool is_subscribed) {
    const bool is_new = before.period_end == begin_of_time;
    if (is_subscribed)
      wallet_.last_subscribed_grant = every_grant;
    else if (before.subscribed || is_new)
      wallet_.last_subscribed_grant = wallet_.last_grant_id;
  }

  // A plan that gives more gives its share of what is left of the period; one that gives less takes
  // nothing back.
  void grant_difference(const AllowanceTerms& terms, Instant at) {
    const Amount more = prorated(level_before(terms), terms.allowance.amount, terms.period, at);
    grant("monthly", Passing::allowance, more, terms.period.end, at);
  }

  // What the period has been given for so far. The allowance of a subscription that is over does
  // not count towards that of the default plan.
  Amount level_before(const AllowanceTerms& terms) const {
    const bool over = wallet_.allowance.subscribed && !terms.subscribed;
    return over ? Amount() : wallet_.allowance.allowance.amount;
  }

  void grant(const char* kind, Passing passing, Amount amount, Instant ends, Instant at) {
    if (!amount.is_positive()) return;
    int priority = 0;
    default_priority(kind, priority);
    const Lot lot{++wallet_.last_grant_id, kind, priority, ends, amount, Amount()};
    wallet_.lots.push_back(lot);
    entries.push_back({passing, at, {lot.grant_id, lot.kind, amount}, lot});
  }

  void store_terms(const AllowanceTerms& terms, bool begins, Instant at) {
    const Amount level =
        begins ? terms.allowance.amount : std::max(level_before(terms), terms.allowance.amount);
    AllowanceState& state = wallet_.allowance;
    if (begins) state.period_start = at;
    state.allowance = {level, terms.allowance.rollover};
    state.period_end = terms.period.end;
    state.due = std::max(at + 1, std::min(terms.period.end, terms.until));
    state.subscribed = terms.subscribed;
  }

  WalletInTime& wallet_;
  const AllowanceSource& source_;
};

}  // namespace

const char* to_string(Passing passing) {
  switch (passing) {
    case Passing::expired:
      return "expired";
    case Passing::lapsed:
      return "lapsed";
    case Passing::rolled_over:
      return "rolled_over";
    case Passing::rollover:
      return "rollover";
    case Passing::allowance:
      break;
  }
  return "allowance";
}

bool is_credit(Passing passing) {
  return passing == Passing::rollover || passing == Passing::allowance;
}

Instant next_due(const WalletInTime& wallet) {
  Instant due = wallet.allowance.due;
  for (const OpenHold& hold : wallet.holds) due = std::min(due, hold.expires_at);
  return due;
}

std::vector<TimedEntry> pass_time(WalletInTime& wallet, const AllowanceSource& source,
                                  Instant now) {
  Clockwork clockwork(wallet, source);
  clockwork.run_until(now);
  return std::move(clockwork.entries);
}

std::vector<TimedEntry> change_allowance(WalletInTime& wallet, const AllowanceSource& source,
                                         Instant now) {
  Clockwork clockwork(wallet, source);
  clockwork.look_at_allowance(now);
  sort_in_debit_order(wallet.lots);
  return std::move(clockwork.entries);
}

}  // namespace purser
