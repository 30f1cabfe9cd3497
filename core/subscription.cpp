// What time does to subscriptions. Each turn removes its own cause, so that there is an end to
// them.
#include "core/subscription.hpp"

#include <algorithm>
#include <array>

namespace purser {
namespace {

using Wide = __int128;

// The instant of a turn, absent when nothing calls for it.
std::optional<Instant> instant_of(const Subscription& s, Turn turn) {
  switch (turn) {
    case Turn::canceled:
      return s.cancel_at;
    case Turn::trial_ended:
      return s.status == SubscriptionStatus::trialing ? s.trial_ends_at : std::nullopt;
    case Turn::grace_ended:
      return s.status == SubscriptionStatus::past_due ? s.grace_ends_at : std::nullopt;
    case Turn::plan_changed:
      return s.next ? std::optional(s.next->at) : std::nullopt;
    case Turn::unpinned:
      break;
  }
  return s.pinned_until;
}

Subscription unpinned(Subscription subscription) {
  subscription.pinned_version.reset();
  subscription.pinned_until.reset();
  return subscription;
}

std::optional<Subscription> fallen_back(const Subscription& ended, Instant at) {
  if (!ended.fallback_plan) return std::nullopt;
  Subscription next;
  next.plan = *ended.fallback_plan;
  next.interval = ended.interval;
  next.anchor = ended.anchor;
  next.started_at = at;
  return next;
}

}  // namespace

bool parse_subscription_status(std::string_view text, SubscriptionStatus& status) {
  for (SubscriptionStatus known :
       {SubscriptionStatus::trialing, SubscriptionStatus::active, SubscriptionStatus::past_due,
        SubscriptionStatus::canceled, SubscriptionStatus::expired}) {
    if (text != to_string(known)) continue;
    status = known;
    return true;
  }
  return false;
}

const char* to_string(SubscriptionStatus status) {
  switch (status) {
    case SubscriptionStatus::trialing:
      return "trialing";
    case SubscriptionStatus::active:
      return "active";
    case SubscriptionStatus::past_due:
      return "past_due";
    case SubscriptionStatus::canceled:
      return "canceled";
    case SubscriptionStatus::expired:
      break;
  }
  return "expired";
}

const char* to_string(Turn turn) {
  switch (turn) {
    case Turn::canceled:
      return "canceled";
    case Turn::trial_ended:
      return "trial_ended";
    case Turn::grace_ended:
      return "grace_ended";
    case Turn::plan_changed:
      return "plan_changed";
    case Turn::unpinned:
      break;
  }
  return "unpinned";
}

bool ends(Turn turn) {
  return turn != Turn::unpinned;
}

SubscriptionStatus ended_as(Turn turn) {
  return turn == Turn::canceled ? SubscriptionStatus::canceled : SubscriptionStatus::expired;
}

std::optional<DueTurn> next_turn(const Subscription& subscription) {
  std::optional<DueTurn> earliest;
  for (Turn turn :
       {Turn::canceled, Turn::trial_ended, Turn::grace_ended, Turn::plan_changed, Turn::unpinned}) {
    const std::optional<Instant> at = instant_of(subscription, turn);
    if (at && (!earliest || *at < earliest->at)) earliest = DueTurn{turn, *at};
  }
  return earliest;
}

Subscription changed(const Subscription& subscription, const PlanChange& change,
                     const ZoneOffset& zone) {
  Subscription next = unpinned(subscription);
  next.plan = change.plan;
  next.pinned_version = change.pinned_version;
  if (next.interval != change.interval) next.anchor = to_local(change.at, zone);
  next.interval = change.interval;
  next.started_at = change.at;
  next.next.reset();
  // A trial that was paid for is the earlier subscription's history.
  if (next.status != SubscriptionStatus::trialing) next.trial_ends_at.reset();
  return next;
}

std::optional<Subscription> turned(const Subscription& subscription, const DueTurn& due,
                                   const ZoneOffset& zone) {
  switch (due.turn) {
    case Turn::canceled:
    case Turn::grace_ended:
      return std::nullopt;
    case Turn::trial_ended:
      return fallen_back(subscription, due.at);
    case Turn::plan_changed:
      return changed(subscription, *subscription.next, zone);
    case Turn::unpinned:
      break;
  }
  return unpinned(subscription);
}

SubscriptionTerms terms_at(const Subscription& subscription, Instant now, const ZoneOffset& zone) {
  SubscriptionTerms terms{subscription, end_of_time};
  while (terms.live) {
    const std::optional<DueTurn> due = next_turn(*terms.live);
    if (!due) break;
    if (due->at > now) {
      terms.until = due->at;
      break;
    }
    terms.live = turned(*terms.live, *due, zone);
  }
  return terms;
}

Instant live_until(const Subscription& subscription, const ZoneOffset& zone) {
  Subscription live = subscription;
  while (const std::optional<DueTurn> due = next_turn(live)) {
    std::optional<Subscription> next = turned(live, *due, zone);
    if (!next) return due->at;
    live = std::move(*next);
  }
  return end_of_time;
}

Period billing_period(const Subscription& subscription, Instant now, const ZoneOffset& zone) {
  if (subscription.status == SubscriptionStatus::trialing && subscription.trial_ends_at)
    return {subscription.started_at, *subscription.trial_ends_at, 0};
  return period_at(anchored(subscription.interval, subscription.anchor), now, zone);
}

// A period of a year is less than 2^45 microseconds and a difference less than 2^64 millionths.
Amount prorated(Amount before, Amount after, const Period& period, Instant now) {
  const Amount difference = after - before;
  const Instant from = std::clamp(now, period.start, period.end);
  const Wide left = Wide{period.end} - from;
  const Wide length = Wide{period.end} - period.start;
  if (length <= 0) return Amount();
  return Amount::from_micros(static_cast<std::int64_t>(Wide{difference.micros()} * left / length));
}

}  // namespace purser
