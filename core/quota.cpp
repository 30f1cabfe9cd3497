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

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

std::int64_t within_range(Wide value) {
  return static_cast<std::int64_t>(std::clamp<Wide>(value, 0, most));
}

// What one call could take now. Nothing, where the plan gives nothing or the account may not act.
std::optional<std::int64_t> max_amount(const QuotaRule& rule, const QuotaState& state) {
  if (state.status != AccountStatus::active || rule.limit == 0) return 0;
  if (!rule.limit || rule.soft) return rule.per_call;
  const std::int64_t fits = within_range(Wide{*quota(rule, state)} + rule.grace - taken(state));
  return std::min(fits, rule.per_call.value_or(most));
}

std::optional<std::int32_t> percent(std::int64_t used, std::optional<std::int64_t> quota) {
  if (!quota || *quota == 0) return std::nullopt;
  return static_cast<std::int32_t>(
      std::min<Wide>(Wide{used} * 100 / *quota, std::numeric_limits<std::int32_t>::max()));
}

bool is_allowed(Reason reason) {
  return reason == Reason::ok || reason == Reason::over_quota;
}

Decision standing(const QuotaRule& rule, const QuotaState& state, Reason reason) {
  Decision decision;
  decision.allowed = is_allowed(reason);
  decision.reason = reason;
  decision.used = state.used;
  decision.quota = quota(rule, state);
  if (decision.quota) decision.remaining = within_range(*decision.quota - taken(state));
  decision.max_amount = max_amount(rule, state);
  decision.percent = percent(state.used, decision.quota);
  decision.level = usage_level(state.used, decision.quota, rule.levels);
  return decision;
}

// Why a call may not take `amount`, or may although the quota does not hold it.
Reason reason_for(const QuotaRule& rule, const QuotaState& state, std::int64_t amount) {
  if (state.status != AccountStatus::active) return reason_of(state.status);
  if (rule.limit == 0) return Reason::feature_not_included;
  if (rule.per_call && amount > *rule.per_call) return Reason::per_call_exceeded;
  // Nothing more is not refused, even to an account that a smaller plan left over its limit.
  if (amount == 0) return Reason::ok;
  const std::optional<std::int64_t> whole = quota(rule, state);
  if (whole && taken(state) + amount <= *whole) return Reason::ok;
  if (whole && !rule.soft && taken(state) + amount > Wide{*whole} + rule.grace)
    return Reason::quota_exceeded;
  require_countable(state, amount);
  return whole ? Reason::over_quota : Reason::ok;
}

// What a count that was made anyway has to be told of.
Reason reason_after(const QuotaRule& rule, const QuotaState& state) {
  if (state.status != AccountStatus::active) return reason_of(state.status);
  if (rule.limit == 0) return Reason::feature_not_included;
  const std::optional<std::int64_t> whole = quota(rule, state);
  return whole && taken(state) > *whole ? Reason::over_quota : Reason::ok;
}

int severity(std::string_view level) {
  if (level == "exhausted") return 3;
  if (level == "critical") return 2;
  return level == "warn" ? 1 : 0;
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
    case Reason::over_quota:
      return "over_quota";
    case Reason::quota_exceeded:
      return "quota_exceeded";
    case Reason::per_call_exceeded:
      return "per_call_exceeded";
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

std::optional<std::int64_t> quota(const QuotaRule& rule, const QuotaState& state) {
  if (!rule.limit || *rule.limit == 0) return rule.limit;
  return within_range(Wide{*rule.limit} + std::min(state.carried, rule.rollover));
}

Decision decide(const QuotaRule& rule, const QuotaState& state, std::int64_t amount) {
  require_not_negative(amount);
  return standing(rule, state, reason_for(rule, state, amount));
}

Decision counted(const QuotaRule& rule, QuotaState state, std::int64_t amount) {
  require_not_negative(amount);
  require_countable(state, amount);
  state.used += amount;
  Decision decision = standing(rule, state, reason_after(rule, state));
  decision.allowed = true;
  return decision;
}

Decision recorded(const QuotaRule& rule, QuotaState state, std::int64_t amount) {
  if (amount >= 0) return counted(rule, state, amount);
  if (amount < -state.used)
    throw Error(sqlstate::invalid_amount,
                "cannot take back " + std::to_string(-Wide{amount} > most ? most : -amount) +
                    ": only " + std::to_string(state.used) + " used",
                "Usage of a period is never below zero.", "Take back at most what was used.");
  state.used += amount;
  return counted(rule, state, 0);
}

std::int64_t carried_over(const QuotaRule& rule, const QuotaState& state, std::int64_t skipped) {
  if (!rule.limit || *rule.limit == 0) return 0;
  const Wide unused = std::max<Wide>(0, Wide{*quota(rule, state)} - state.used);
  const Wide ceiling = rule.rollover;
  return within_range(std::min(
      ceiling, std::min(ceiling, unused) + Wide{*rule.limit} * std::max<Wide>(skipped, 0)));
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

const char* crossed_level(const QuotaRule& rule, const QuotaState& before, std::int64_t after) {
  const std::optional<std::int64_t> whole = quota(rule, before);
  const char* level = usage_level(after, whole, rule.levels);
  const bool worse = severity(level) > severity(usage_level(before.used, whole, rule.levels));
  return worse ? level : nullptr;
}

}  // namespace purser
