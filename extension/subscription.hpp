// Stored subscriptions as core reads them.
#pragma once

#include "core/subscription.hpp"
#include "extension/pg/statement.hpp"

// The columns of purser.subscription AS s that read_subscription() takes, in its order.
#define PURSER_SUBSCRIPTION_COLUMNS                                                   \
  "s.plan, s.pinned_version, s.pinned_until, s.status, s.billing_interval, s.anchor," \
  " s.started_at, s.trial_ends_at, s.fallback_plan, s.grace_ends_at, s.cancel_at,"    \
  " s.next_plan, s.next_pinned_version, s.next_interval, s.next_plan_at"

namespace purser {

inline constexpr int subscription_columns = 15;

// From a row of a statement, `first` being the column with the plan. Nullopt when there is none.
std::optional<Subscription> read_subscription(const pg::Row& row, int first);

// The instant from which the account has no live subscription: past when it ended, end_of_time when
// it goes on for ever and when the account never had one. Sees what this transaction did before.
Instant subscription_until(std::string_view account_id);

}  // namespace purser
