// Rate limits: rate_limit by plan, rate_limit_key for anything else.
//
// With shared memory a call touches no table: the bucket remembers which plan the account follows,
// and until when that can be trusted. The memo is good as long as no change of the account has
// committed since (rate_memory::change_of), the account's terms have not ended by time, and ten
// minutes have not passed, for whoever edits the tables by hand. What the plan says comes from this
// session's catalog, which looks for publications at every call.
#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "core/error.hpp"
#include "core/rate_plan.hpp"
#include "core/siphash.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/row.hpp"
#include "extension/rate_memory.hpp"
#include "extension/rate_table.hpp"

extern "C" {
#include "access/twophase.h"
#include "access/xlog.h"
}

namespace purser {

namespace {

constexpr std::int64_t longest_trust = 600 * microseconds_per_second;

// ---- the account's plan -------------------------------------------------------------------------

std::uint64_t hash_of(std::string_view plan) {
  return siphash({}, plan).low | 1;  // never 0, which is the default plan
}

// The plans of a catalog by the hash of their code.
const std::string* plan_of_hash(std::uint64_t hash, const std::shared_ptr<Catalog>& plans) {
  static std::shared_ptr<Catalog> indexed;
  static std::unordered_map<std::uint64_t, std::string> codes;
  if (indexed != plans) {
    indexed.reset();
    codes.clear();
    for (const auto& [code, version] : plans->plans()) codes.emplace(hash_of(code), code);
    indexed = plans;
  }
  const auto found = codes.find(hash);
  return found == codes.end() ? nullptr : &found->second;
}

// A transaction prepared elsewhere commits without telling this server's sessions, and a standby
// replays changes of which nobody tells it.
bool changes_are_counted() {
  return max_prepared_xacts == 0 && !RecoveryInProgress();
}

bool can_trust(const rate_memory::PlanMemo& memo, std::string_view account_id, Instant now) {
  return memo.catalog == installation() && memo.read_at <= now && now < memo.valid_until &&
         memo.change == rate_memory::change_of(account_id) && !rate_memory::changes_wait() &&
         changes_are_counted();
}

const PlanVersion* version_of(const rate_memory::PlanMemo& memo,
                              const std::shared_ptr<Catalog>& plans) {
  std::string_view code;  // of the default plan
  if (memo.plan != 0) {
    const std::string* known = plan_of_hash(memo.plan, plans);
    if (known == nullptr) return nullptr;
    code = *known;
  }
  return plans->cached_version(
      code, memo.pinned_version == 0 ? std::nullopt : std::optional(memo.pinned_version));
}

// As it stands now, whatever the calling statement's snapshot shows.
Account read_account(std::string_view account_id, Instant now) {
  pg::Command command;
  pg::Spi spi;
  return load_account(account_id, now);
}

rate_memory::PlanMemo memo_of(const Account& account, std::uint64_t change, Instant now) {
  rate_memory::PlanMemo memo;
  // A transaction with one snapshot for all its statements may have read what is no longer so.
  if (IsolationUsesXactSnapshot() || rate_memory::changes_wait() || !changes_are_counted())
    return memo;
  memo.plan = account.plan ? hash_of(*account.plan) : 0;
  memo.pinned_version = account.pinned_version.value_or(0);
  memo.catalog = installation();
  memo.change = change;
  memo.read_at = now;
  memo.valid_until = std::min(account.until, now + longest_trust);
  return memo;
}

// ---- decisions ----------------------------------------------------------------------------------

struct Answer {
  std::optional<RateLimit> limit;  // absent when it is unlimited
  RateDecision decision;
};

Answer unlimited() {
  RateDecision decision;
  decision.allowed = true;
  decision.retry_after = 0;
  return {std::nullopt, decision};
}

bool is_known(std::string_view scope, const PlanVersion& own, const Catalog& plans) {
  const auto mentions = [&](const PlanVersion& version) {
    return version.rates.limits.find(scope) != version.rates.limits.end();
  };
  return mentions(own) || std::any_of(plans.plans().begin(), plans.plans().end(),
                                      [&](const auto& plan) { return mentions(*plan.second); });
}

[[noreturn]] void unknown_scope(std::string_view scope) {
  throw Error(sqlstate::unknown_name, "unknown rate limit scope \"" + std::string(scope) + "\"",
              "No published plan has it among its rate_limits.",
              "Publish a plan that limits it, or use purser.rate_limit_key().");
}

std::optional<RateLimit> limit_by_plan(const PlanVersion& own, const Catalog& plans,
                                       std::string_view scope) {
  static const RatePlan nothing;
  const PlanVersion* fallback = plans.cached_version({}, std::nullopt);
  const auto limit = limit_of(own.rates, fallback != nullptr ? fallback->rates : nothing, scope);
  if (!limit && !is_known(scope, own, plans)) unknown_scope(scope);
  return limit;
}

enum class Ask { take, look };  // count what passes, or only say whether it would

Answer ask_table(Ask ask, std::string_view account_id, std::string_view scope, std::int64_t cost) {
  const auto plans = catalog();
  const Instant now = pg::now();
  const Account account = read_account(account_id, now);
  const auto limit =
      limit_by_plan(plans->version(account.plan, account.pinned_version), *plans, scope);
  if (!limit) return unlimited();
  return {limit, ask == Ask::take ? rate_table::take(account_id, scope, *limit, cost, now)
                                  : rate_table::look(account_id, scope, *limit, cost, now)};
}

Answer ask_memory(Ask ask, std::string_view account_id, std::string_view scope, std::int64_t cost) {
  const auto plans = catalog();
  const Instant now = pg::now();
  const rate_memory::Key key = rate_memory::key_of(account_id, scope);
  std::optional<rate_memory::PlanMemo> memo = rate_memory::recall(key);
  const PlanVersion* version =
      memo && can_trust(*memo, account_id, now) ? version_of(*memo, plans) : nullptr;
  const bool remembered = version != nullptr;
  if (!remembered) {
    const std::uint64_t change = rate_memory::change_of(account_id);
    const Account account = read_account(account_id, now);
    version = &plans->version(account.plan, account.pinned_version);
    memo = memo_of(account, change, now);
  }
  const auto limit = limit_by_plan(*version, *plans, scope);
  if (limit && ask == Ask::look) return {limit, rate_memory::look(key, *limit, cost, now)};
  if (limit) return {limit, rate_memory::take(key, *limit, cost, now, *memo)};
  if (!remembered) rate_memory::remember(key, *memo, now);
  return unlimited();
}

std::int64_t read_cost(const pg::Arguments& arguments, int i) {
  const std::optional<std::int32_t> cost = arguments.optional_int4(i);
  if (!cost)
    throw Error(sqlstate::invalid_argument, "argument \"cost\" is null", {},
                "Pass a value for cost.");
  if (*cost > 0) return *cost;
  throw Error(sqlstate::invalid_amount, "cost must be positive, got " + std::to_string(*cost), {},
              "Ask for at least 1.");
}

Datum decision_datum(FunctionCallInfo fcinfo, const Answer& answer, std::string_view scope) {
  const RateDecision& d = answer.decision;
  const pg::Value none = pg::null_value();
  const bool limited = answer.limit.has_value();
  return pg::composite(
      fcinfo,
      {pg::boolean(d.allowed), limited ? pg::int8(d.limit) : none,
       limited ? pg::int8(d.remaining) : none, d.retry_after ? pg::interval(*d.retry_after) : none,
       limited ? pg::timestamptz(d.resets_at) : none, pg::text(to_string(d.reason)),
       scope.empty() ? none : pg::text(scope),
       limited ? pg::interval(answer.limit->window) : none});
}

Datum rate_limit(Ask ask, FunctionCallInfo fcinfo) {
  const pg::Arguments arguments(fcinfo);
  const std::string_view account_id = arguments.id(0, "account_id");
  const std::string_view scope = arguments.id(1, "scope");
  const std::int64_t cost = read_cost(arguments, 2);
  const Answer answer = rate_memory::available() ? ask_memory(ask, account_id, scope, cost)
                                                 : ask_table(ask, account_id, scope, cost);
  return decision_datum(fcinfo, answer, scope);
}

RateLimit read_limit(const pg::Arguments& arguments) {
  const std::optional<std::int32_t> max = arguments.optional_int4(1);
  if (!max)
    throw Error(sqlstate::invalid_argument, "argument \"max_requests\" is null", {},
                "Pass a value for max_requests.");
  if (*max <= 0)
    throw Error(sqlstate::invalid_amount,
                "max_requests must be positive, got " + std::to_string(*max), {},
                "Allow at least 1.");
  const std::int64_t window = arguments.microseconds(2, "per");
  if (window > 0 && window <= longest_rate_window) return {*max, window};
  throw Error(sqlstate::invalid_argument,
              std::string("argument \"per\" ") +
                  (window > 0 ? "is longer than 366 days" : "is not positive"),
              {}, "Use an interval such as '1 hour', of at most 366 days.");
}

// Stands where a scope stands for accounts; no scope has a space. A key keeps a bucket for each
// window, so that it can have a limit per second and another per day.
std::string scope_of_window(const RateLimit& limit) {
  return "per " + std::to_string(limit.window) + " us";
}

}  // namespace

// rate_limit(account_id, scope, cost) → rate_decision
PURSER_FUNCTION(purser_rate_limit) {
  return rate_limit(Ask::take, fcinfo);
}

// check_rate_limit(account_id, scope, cost) → rate_decision
PURSER_FUNCTION(purser_check_rate_limit) {
  return rate_limit(Ask::look, fcinfo);
}

// rate_limit_key(key, max_requests, per, cost) → rate_decision
PURSER_FUNCTION(purser_rate_limit_key) {
  const pg::Arguments arguments(fcinfo);
  const std::string_view key = arguments.id(0, "key");
  const RateLimit limit = read_limit(arguments);
  const std::int64_t cost = read_cost(arguments, 3);
  const std::string scope = scope_of_window(limit);
  const Instant now = pg::now();
  const RateDecision decision =
      rate_memory::available()
          ? rate_memory::take(rate_memory::key_of(key, scope), limit, cost, now, {})
          : rate_table::take(key, scope, limit, cost, now);
  return decision_datum(fcinfo, {limit, decision}, {});
}

// _rate_limit_scopes(account_id) → text[]: what the account's plan or any published one limits
PURSER_FUNCTION(purser_rate_limit_scopes) {
  const std::string_view account_id = pg::Arguments(fcinfo).id(0, "account_id");
  const auto plans = catalog();
  const Account account = read_account(account_id, pg::now());
  std::set<std::string> scopes;
  const auto add = [&](const PlanVersion& version) {
    for (const auto& [scope, limit] : version.rates.limits) scopes.insert(scope);
  };
  add(plans->version(account.plan, account.pinned_version));
  for (const auto& [code, version] : plans->plans()) add(*version);
  return pg::text_array({scopes.begin(), scopes.end()}).datum;
}

// _clear_rate_limit(account_id, scope)
PURSER_FUNCTION(purser_clear_rate_limit) {
  const pg::Arguments arguments(fcinfo);
  const std::string_view account_id = arguments.id(0, "account_id");
  const std::string_view scope = arguments.id(1, "scope");
  if (rate_memory::available())
    rate_memory::clear_at_commit(rate_memory::key_of(account_id, scope));
  else
    rate_table::clear(account_id, scope);
  return 0;
}

// _account_changes(account_id)
PURSER_FUNCTION(purser_account_changes) {
  const pg::Arguments arguments(fcinfo);
  if (rate_memory::available()) rate_memory::count_change_at_commit(arguments.id(0, "account_id"));
  return 0;
}

// _rate_limit_memory() → (slots, used, evictions); NULLs without shared memory
PURSER_FUNCTION(purser_rate_limit_memory) {
  if (!rate_memory::available())
    return pg::composite(fcinfo, {pg::null_value(), pg::null_value(), pg::null_value()});
  const rate_memory::Status status = rate_memory::status(pg::now());
  return pg::composite(fcinfo,
                       {pg::int8(status.slots), pg::int8(status.used), pg::int8(status.evictions)});
}

}  // namespace purser
