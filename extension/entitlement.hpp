// The counters behind every quota: one row of purser.entitlement per (account, feature), brought to
// the present before anything is decided on it. A period that is over starts again from zero, terms
// that may have changed are looked up, holds that have expired are set free.
//
// A hot counter lies partly in stripes (stripes.hpp): here it is always whole.
//
// Locks: the account FOR KEY SHARE while its first row of a feature is made (against its deletion
// only), then the entitlement row, then its stripes, then its holds. The account is share-locked
// while terms are looked up, but never waited for: where someone is changing it, the terms are used
// once and not kept. So counting and a change of plan cannot deadlock, whatever a transaction
// counted before.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/quota.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/decision.hpp"

namespace purser {

// The row's columns by their order in the table.
enum EntitlementColumn {
  account_id_column,
  feature_column,
  used_column,
  held_column,
  carried_column,
  lifetime_column,
  period_start_column,
  period_end_column,
  fresh_until_column,
  pinned_version_column,
  stripes_column,
  anchor_column,
  status_column,
  plan_column,
  per_column,
  time_zone_column,
  override_column
};

// The row in memory.
struct Entitlement {
  QuotaState state;
  std::int64_t lifetime = 0;
  Period period;
  Instant fresh_until = begin_of_time;  // when terms, period or holds must be looked at again
  std::optional<std::string> plan;
  std::optional<int> pinned_version;
  int stripes = 0;
  std::optional<LocalTime> anchor;
  std::string per;  // "" before the first period was opened
  std::string time_zone = "UTC";
  std::optional<std::string> override_value;
};

// What `per` holds for a rule: day, week, month, year, lifetime, billing, billing_year.
const char* per_word(const QuotaRule& rule);

// The rule for the feature under a plan and, where there is one, an override. PU014 when the
// feature is not a quota.
QuotaRule quota_rule(const Catalog& plans, const PlanVersion& plan, std::string_view feature,
                     std::optional<std::string_view> override_value);

// Periods start again from zero, the lifetime goes on. PU013 when it cannot.
std::int64_t lifetime_after(std::int64_t lifetime, std::int64_t amount);

// A counter at one instant.
struct Counter {
  std::string account_id;
  std::string feature;
  Entitlement row;
  QuotaRule rule;
  QuotaState start;                   // before this call counted anything
  std::optional<Entitlement> closed;  // the row in the period that has ended since it was written
  bool holds_expired = false;

  Answer decide(std::int64_t amount) const;
  // Adds to the running period and the lifetime, whether or not it fits. PU013 out of range.
  Answer count(std::int64_t amount);
  Answer record(std::int64_t amount);  // may be negative; see recorded()
  Answer answer(const Decision& decision) const;
  // The period its rule and terms give for another instant.
  Period period_containing(Instant at) const;

 private:
  void add(std::int64_t amount);
};

// As it stands to the active snapshot, without a lock; an account that never used the feature has
// an empty one.
Counter seen_counter(const std::string& account_id, const std::string& feature, Catalog& plans,
                     Instant now);

// Locked until the transaction ends, with its stripes; made when there is none.
Counter locked_counter(const std::string& account_id, const std::string& feature, Catalog& plans,
                       Instant now);

// Every counter the account has, as seen_counter() gives them.
std::map<std::string, Counter> seen_counters(const std::string& account_id, Catalog& plans,
                                             Instant now);

// Writes a locked counter: the row, which takes up what its stripes counted, the period it closed,
// the holds that expired, and an event where counting has reached another warn level. What follows
// starts from there.
void store(Counter& counter, Instant now);

// Adds to what the history says was used in a period that is over.
void keep_usage(const Counter& counter, const Period& period, std::int64_t used);

// Emits quota.warn, quota.critical or quota.exhausted when counting reached that level.
void emit_crossing(const std::string& account_id, const std::string& feature, const QuotaRule& rule,
                   const QuotaState& before, std::int64_t used, Instant resets_at, Instant now);

}  // namespace purser
