// The quota decision. Sums are made in 128 bits, so counts near 2^63 are compared, never wrapped.
#include "core/quota.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"

namespace purser {
namespace {

using Wide = __int128;

Reason reason_of(AccountStatus status) {
  switch (status) {
    case AccountStatus::active:
      return Reason::ok;
    case AccountStatus::suspended:
      return Reason::account_suspended;
    case AccountStatus::banned:
      return Reason::account_banned;
    case AccountStatus::deleted:
      break;
  }
  return Reason::account_deleted;
}

Wide taken(const QuotaState& state) {
  return Wide{state.used} + state.held;
}

void require_countable(const QuotaState& state, std::int64_t amount) {
  if (taken(state) + amount <= std::numeric_limits<std::int64_t>::max()) return;
  throw Error(sqlstate::invalid_amount,
              "usage out of range: " + std::to_string(state.used) + " used + " +
                  std::to_string(state.held) + " held + " + std::to_string(amount),
              "Usage is counted up to 9223372036854775807 in a period.", "Count in a larger unit.");
}

void require_not_negative(std::int64_t amount) {
  if (amount >= 0) return;
  throw Error(sqlstate::invalid_amount,
              "usage amount must not be negative, not " + std::to_string(amount),
              "Usage only grows within a period.", "Pass an amount of 0 or more.");
}

std::optional<std::int64_t> remaining(const QuotaRule& rule, const QuotaState& state) {
  if (!rule.limit) return std::nullopt;
  const Wide left = *rule.limit - taken(state);
  return static_cast<std::int64_t>(
      std::clamp<Wide>(left, 0, std::numeric_limits<std::int64_t>::max()));
}

Decision standing(const QuotaRule& rule, const QuotaState& state, Reason reason) {
  Decision decision;
  decision.allowed = reason == Reason::ok;
  decision.reason = reason;
  decision.used = state.used;
  decision.quota = rule.limit;
  decision.remaining = remaining(rule, state);
  decision.level = usage_level(state.used, rule.limit, rule.levels);
  return decision;
}

Reason refusal(const QuotaRule& rule, const QuotaState& state, std::int64_t amount) {
  if (state.status != AccountStatus::active) return reason_of(state.status);
  if (!rule.limit) {
    require_countable(state, amount);
    return Reason::ok;
  }
  if (*rule.limit == 0) return Reason::feature_not_included;
  // Nothing more is not refused, even to an account that a smaller plan left over its limit.
  if (amount == 0) return Reason::ok;
  return taken(state) + amount > *rule.limit ? Reason::quota_exceeded : Reason::ok;
}

}  // namespace

bool parse_account_status(std::string_view text, AccountStatus& status) {
  for (AccountStatus known : {AccountStatus::active, AccountStatus::suspended,
                              AccountStatus::banned, AccountStatus::deleted}) {
    if (text != to_string(known)) continue;
    status = known;
    return true;
  }
  return false;
}

const char* to_string(AccountStatus status) {
  switch (status) {
    case AccountStatus::active:
      return "active";
    case AccountStatus::suspended:
      return "suspended";
    case AccountStatus::banned:
      return "banned";
    case AccountStatus::deleted:
      break;
  }
  return "deleted";
}

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::ok:
      return "ok";
    case Reason::quota_exceeded:
      return "quota_exceeded";
    case Reason::feature_not_included:
      return "feature_not_included";
    case Reason::account_suspended:
      return "account_suspended";
    case Reason::account_banned:
      return "account_banned";
    case Reason::account_deleted:
      break;
  }
  return "account_deleted";
}

Decision decide(const QuotaRule& rule, const QuotaState& state, std::int64_t amount) {
  require_not_negative(amount);
  return standing(rule, state, refusal(rule, state, amount));
}

Decision counted(const QuotaRule& rule, QuotaState state, std::int64_t amount) {
  require_not_negative(amount);
  require_countable(state, amount);
  state.used += amount;
  return standing(rule, state, Reason::ok);
}

// Levels speak of what was used. What is held may yet come back, so it raises no alarm.
const char* usage_level(std::int64_t used, std::optional<std::int64_t> limit, WarnLevels levels) {
  if (!limit) return "unlimited";
  if (used >= *limit) return "exhausted";
  const Wide percent_used = Wide{used} * 100;
  if (percent_used >= Wide{*limit} * levels.critical) return "critical";
  if (percent_used >= Wide{*limit} * levels.warn) return "warn";
  return "ok";
}

}  // namespace purser
