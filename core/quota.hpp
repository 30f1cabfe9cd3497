// The quota decision: may this much more be used in this period, and what does the caller say to
// the person who asked. No clock and no storage: states come in, decisions go out.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/period.hpp"

namespace purser {

enum class AccountStatus { active, suspended, banned, deleted };

bool parse_account_status(std::string_view text, AccountStatus& status);
const char* to_string(AccountStatus status);

enum class Reason {
  ok,
  over_quota,            // allowed, although the quota is used up: a soft cap, grace, a record
  quota_exceeded,        // the amount does not fit into what remains
  per_call_exceeded,     // more than one call may take
  feature_not_included,  // the plan's limit is 0
  account_suspended,
  account_banned,
  account_deleted,
};

const char* to_string(Reason reason);

// Percent of the quota at which a feature counts as warned about and as critical.
struct WarnLevels {
  int warn = 80;
  int critical = 90;
  bool operator==(const WarnLevels&) const = default;
};

// What a plan says about one metered feature.
struct QuotaRule {
  std::optional<std::int64_t> limit;  // nullopt is unlimited, 0 is not included
  Interval interval = Interval::month;
  bool billing = false;  // follow the subscription's anchor rather than the calendar
  WarnLevels levels;
  bool soft = false;                     // beyond the limit counting goes on and says so
  std::int64_t grace = 0;                // units beyond the limit before a hard cap binds
  std::int64_t rollover = 0;             // the most that is carried over from earlier periods
  std::optional<std::int64_t> per_call;  // the most of one call
  bool operator==(const QuotaRule&) const = default;
};

struct QuotaState {
  AccountStatus status = AccountStatus::active;
  std::int64_t used = 0;     // in the period that contains the call
  std::int64_t held = 0;     // set aside for work in flight
  std::int64_t carried = 0;  // left over from earlier periods
};

struct Decision {
  bool allowed = false;
  Reason reason = Reason::ok;
  std::int64_t used = 0;                   // after counting, where something was counted
  std::optional<std::int64_t> quota;       // with what was carried over
  std::optional<std::int64_t> remaining;   // of the quota; never negative
  std::optional<std::int64_t> max_amount;  // the most one call could take now
  std::optional<std::int32_t> percent;     // of the quota, rounded down
  const char* level = "ok";                // ok, warn, critical, exhausted, unlimited
};

// The limit and what was carried over, as far as the rule carries.
std::optional<std::int64_t> quota(const QuotaRule& rule, const QuotaState& state);

// Decides whether `amount` (>= 0) fits. Does not count: `used` is the state's.
Decision decide(const QuotaRule& rule, const QuotaState& state, std::int64_t amount);

// The decision after `amount` was counted into the state, whether or not it fitted.
Decision counted(const QuotaRule& rule, QuotaState state, std::int64_t amount);

// The decision after `amount`, which may be negative, was recorded: always allowed, and the reason
// says what would have refused it. PU013 when less than nothing would remain used.
Decision recorded(const QuotaRule& rule, QuotaState state, std::int64_t amount);

// What the next period begins with beside its limit, `skipped` unused periods later (0 when they
// follow one another): the unused part, never more than the rule's ceiling.
std::int64_t carried_over(const QuotaRule& rule, const QuotaState& state, std::int64_t skipped);

const char* usage_level(std::int64_t used, std::optional<std::int64_t> limit, WarnLevels levels);

// The level that counting from `before` to `after` used has reached, when it is a worse one: warn,
// critical or exhausted. Null otherwise.
const char* crossed_level(const QuotaRule& rule, const QuotaState& before, std::int64_t after);

}  // namespace purser
