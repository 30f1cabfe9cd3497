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
  quota_exceeded,        // the amount does not fit into what remains
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
  bool operator==(const QuotaRule&) const = default;
};

struct QuotaState {
  AccountStatus status = AccountStatus::active;
  std::int64_t used = 0;  // in the period that contains the call
  std::int64_t held = 0;  // set aside for work in flight
};

struct Decision {
  bool allowed = false;
  Reason reason = Reason::ok;
  std::int64_t used = 0;  // after counting, where something was counted
  std::optional<std::int64_t> quota;
  std::optional<std::int64_t> remaining;  // never negative
  const char* level = "ok";               // ok, warn, critical, exhausted, unlimited
};

// Decides whether `amount` (>= 0) fits. Does not count: `used` is the state's.
Decision decide(const QuotaRule& rule, const QuotaState& state, std::int64_t amount);

// The decision after `amount` was counted into the state.
Decision counted(const QuotaRule& rule, QuotaState state, std::int64_t amount);

const char* usage_level(std::int64_t used, std::optional<std::int64_t> limit, WarnLevels levels);

}  // namespace purser
