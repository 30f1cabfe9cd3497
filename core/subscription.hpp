// Subscriptions and what time does to them. A live subscription carries everything that is to
// happen to it by itself: the end of its trial, of its grace and of its pin, a change of plan and a
// cancellation that were scheduled. What it is at an instant is computed from that, so nobody has
// to be awake at the instants themselves.
#pragma once
#include "core/pure.hpp"

#include <optional>
#include <string>
#include <string_view>

#include "core/amount.hpp"
#include "core/period.hpp"

namespace purser {

enum class SubscriptionStatus { trialing, active, past_due, canceled, expired };

bool parse_subscription_status(std::string_view text, SubscriptionStatus& status);
const char* to_string(SubscriptionStatus status);

// A change of plan that was scheduled.
struct PlanChange {
  std::string plan;
  std::optional<int> pinned_version;
  Interval interval = Interval::month;
  Instant at = end_of_time;
  bool operator==(const PlanChange&) const = default;
};

// A live subscription: trialing, active or past due.
struct Subscription {
  std::string plan;
  std::optional<int> pinned_version;  // absent when it follows the latest
  std::optional<Instant> pinned_until;
  SubscriptionStatus status = SubscriptionStatus::active;
  Interval interval = Interval::month;  // of billing: month or year
  LocalTime anchor = 0;                 // of billing periods
  Instant started_at = begin_of_time;
  std::optional<Instant> trial_ends_at;      // of one that was a trial it stays as a record
  std::optional<std::string> fallback_plan;  // after the trial; absent for the default plan
  std::optional<Instant> grace_ends_at;      // of one past due
  std::optional<Instant> cancel_at;
  std::optional<PlanChange> next;
  bool operator==(const Subscription&) const = default;
};

// What time does. All but the last end the subscription. Of those due at the same instant the one
// named first here comes first.
enum class Turn { canceled, trial_ended, grace_ended, plan_changed, unpinned };

const char* to_string(Turn turn);
bool ends(Turn turn);
// What the subscription that ended is then: canceled, or expired.
SubscriptionStatus ended_as(Turn turn);

struct DueTurn {
  Turn turn;
  Instant at;
  bool operator==(const DueTurn&) const = default;
};

// The next thing time will do to it; nullopt when it goes on for ever.
std::optional<DueTurn> next_turn(const Subscription& subscription);

// What is there after the turn: the subscription itself without its pin, or the one that follows;
// nullopt when the account is left on the default plan. A subscription that expires or is canceled
// takes along whatever else was scheduled for it. A change of plan keeps the rest: a trial stays a
// trial, and a cancellation still comes.
std::optional<Subscription> turned(const Subscription& subscription, const DueTurn& due,
                                   const ZoneOffset& zone);

// What a stored subscription is at an instant, and the next instant at which that changes.
struct SubscriptionTerms {
  std::optional<Subscription> live;  // absent: the account is on the default plan
  Instant until = end_of_time;
  bool operator==(const SubscriptionTerms&) const = default;
};

// Everything due by `now` happened, in the order of its instants.
SubscriptionTerms terms_at(const Subscription& subscription, Instant now, const ZoneOffset& zone);

// The instant from which the account has no live subscription if nobody does anything;
// end_of_time when it goes on for ever.
Instant live_until(const Subscription& subscription, const ZoneOffset& zone);

// The subscription on another plan from `at` on. Billing periods go on from the same anchor, unless
// their length changes: then they begin anew.
Subscription changed(const Subscription& subscription, const PlanChange& change,
                     const ZoneOffset& zone);

// The period paid for: the whole trial, else the billing period that contains `now`.
Period billing_period(const Subscription& subscription, Instant now, const ZoneOffset& zone);

// What a change from one allowance to another is worth in the middle of a period: the share of the
// period that is left of (after - before), rounded towards zero to a millionth.
Amount prorated(Amount before, Amount after, const Period& period, Instant now);

}  // namespace purser
