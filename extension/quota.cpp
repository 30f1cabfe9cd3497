// Counting usage against a quota: check_and_increment, check_quota, usage.
//
// The common case reads one entitlement row by its key, decides, and rewrites it in place; a
// refusal has then written nothing. When another transaction changes the row at that moment, one
// kept UPDATE waits for it, with the limit evaluated where the row is tested (_admits). When that
// touches no row the reason is looked up: no such row yet, a period that is over, another kind of
// period, or a refusal.
//
// Locks: account FOR SHARE only while its first row of a feature is made, then the entitlement row.
// A call locks no more than one entitlement row.
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "core/plan.hpp"
#include "core/quota.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

namespace {

pg::Statement count_usage{
    "UPDATE purser.entitlement AS e"
    "   SET used = e.used OPERATOR(pg_catalog.+) $3,"
    "       lifetime = e.lifetime OPERATOR(pg_catalog.+) $3"
    " WHERE e.account_id OPERATOR(pg_catalog.=) $1"
    "   AND e.feature OPERATOR(pg_catalog.=) $2"
    "   AND e.period_end OPERATOR(pg_catalog.>) $4"
    "   AND purser._admits(e.status, e.plan, e.pinned_version, e.feature, e.per, e.used, e.held, "
    "$3)"
    " RETURNING e.used, e.held, e.period_end, e.plan, e.pinned_version",
    {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}};

// In the order of the table, which is the order of EntitlementColumn.
#define ENTITLEMENT_COLUMNS                                                            \
  "e.account_id, e.feature, e.used, e.held, e.lifetime, e.period_start, e.period_end," \
  " e.pinned_version, e.anchor, e.status, e.plan, e.per, e.time_zone"

enum EntitlementColumn {
  account_id_column,
  feature_column,
  used_column,
  held_column,
  lifetime_column,
  period_start_column,
  period_end_column,
  pinned_version_column,
  anchor_column,
  status_column,
  plan_column,
  per_column,
  time_zone_column
};

pg::Statement select_entitlement{
    "SELECT " ENTITLEMENT_COLUMNS
    "  FROM purser.entitlement AS e"
    " WHERE e.account_id OPERATOR(pg_catalog.=) $1 AND e.feature OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement lock_entitlement{
    "SELECT " ENTITLEMENT_COLUMNS
    "  FROM purser.entitlement AS e"
    " WHERE e.account_id OPERATOR(pg_catalog.=) $1 AND e.feature OPERATOR(pg_catalog.=) $2"
    "   FOR NO KEY UPDATE",
    {TEXTOID, TEXTOID}};

pg::Statement select_entitlements{
    "SELECT " ENTITLEMENT_COLUMNS
    "  FROM purser.entitlement AS e WHERE e.account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

pg::Statement store_entitlement{
    "UPDATE purser.entitlement"
    "   SET used = $3, lifetime = $4, per = $5, period_start = $6, period_end = $7"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND feature OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

// Waits for a change of plan or status in flight, which could not see the row made next and would
// leave it behind.
pg::Statement share_account{
    "SELECT FROM purser.account AS a WHERE a.account_id OPERATOR(pg_catalog.=) $1 FOR SHARE",
    {TEXTOID}};

// Run after share_account, so that its snapshot has whatever that waited for.
pg::Statement insert_entitlement{
    "INSERT INTO purser.entitlement"
    "       (account_id, feature, status, plan, pinned_version, anchor, time_zone)"
    " SELECT a.account_id, $2, a.status, s.plan, s.pinned_version, s.anchor, a.time_zone"
    "   FROM purser.account AS a"
    "   LEFT JOIN purser.subscription AS s"
    "     ON s.account_id OPERATOR(pg_catalog.=) a.account_id AND s.ended_at IS NULL"
    "  WHERE a.account_id OPERATOR(pg_catalog.=) $1"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID}};

pg::Statement insert_usage_period{
    "INSERT INTO purser.usage_period AS u (account_id, feature, period_start, period_end, used)"
    " VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (account_id, feature, period_end)"
    " DO UPDATE SET used = u.used OPERATOR(pg_catalog.+) excluded.used",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};

pg::Statement select_key{
    "SELECT k.fingerprint, (k.answer).allowed, (k.answer).reason, (k.answer).used,"
    "       (k.answer).quota, (k.answer).remaining, (k.answer).resets_at, (k.answer).level"
    "  FROM purser.quota_key AS k"
    " WHERE k.account_id OPERATOR(pg_catalog.=) $1 AND k.idempotency_key OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement claim_key{
    "INSERT INTO purser.quota_key (account_id, idempotency_key, fingerprint, answer, created_at)"
    " VALUES ($1, $2, $3, ROW($4, $5, $1, $6, $7, $8, $9, $10, $11)::purser.decision, $12)"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, BYTEAOID, BOOLOID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID,
     TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}};

struct Request {
  std::string account_id;
  std::string feature;
  std::int64_t amount = 1;
  std::optional<std::string> key;

  Digest fingerprint() const {
    return pg::sha256(
        Canonical("check_and_increment/1").add("feature", feature).add("amount", amount).bytes());
  }
};

// A decision as it is returned.
struct Answer {
  bool allowed;
  std::string reason;
  std::int64_t used;
  std::optional<std::int64_t> quota, remaining;
  Instant resets_at;  // end_of_time when it never resets
  std::string level;
};

Answer answer_of(const Decision& decision, Instant resets_at) {
  return {decision.allowed, to_string(decision.reason), decision.used,
          decision.quota,   decision.remaining,         resets_at,
          decision.level};
}

const char* per(const QuotaRule& rule) {
  return rule.billing ? "billing" : to_string(rule.interval);
}

// One entitlement row in memory.
struct Entitlement {
  QuotaState state;
  std::int64_t lifetime = 0;
  std::optional<std::string> plan;
  std::optional<int> pinned_version;
  std::string per;
  Period period;
  std::optional<LocalTime> anchor;
  std::string time_zone = "UTC";
};

// From a row of a statement or of the table itself.
template <class Row>
Entitlement read_entitlement(const Row& row) {
  Entitlement e;
  e.state = {stored_status(pg::read_text(row.datum(status_column))),
             pg::read_int8(row.datum(used_column)), pg::read_int8(row.datum(held_column))};
  if (!row.is_null(plan_column)) e.plan = pg::read_text(row.datum(plan_column));
  if (!row.is_null(pinned_version_column))
    e.pinned_version = pg::read_int4(row.datum(pinned_version_column));
  e.per = pg::read_text(row.datum(per_column));
  e.lifetime = pg::read_int8(row.datum(lifetime_column));
  e.period = {pg::read_timestamptz(row.datum(period_start_column)),
              pg::read_timestamptz(row.datum(period_end_column)), 0};
  if (!row.is_null(anchor_column)) e.anchor = pg::read_int8(row.datum(anchor_column));
  e.time_zone = pg::read_text(row.datum(time_zone_column));
  return e;
}

// The state of an account that never used the feature.
Entitlement unused_entitlement(const Account& account) {
  Entitlement e;
  e.state.status = account.status;
  e.plan = account.plan;
  e.pinned_version = account.pinned_version;
  e.anchor = account.anchor;
  e.time_zone = account.time_zone;
  return e;
}

// Metered features alone can be counted.
const QuotaRule& quota_rule(const PlanVersion& plan, const std::string& feature) {
  const FeatureValue& value = plan.features.find(feature)->second;
  if (value.kind != FeatureKind::quota)
    throw Error(sqlstate::invalid_argument,
                "feature \"" + feature + "\" is a " + to_string(value.kind) + ", not a quota", {},
                "Ask for it with purser.has_feature() or purser.feature_value().");
  return value.quota;
}

Period running_period(const Entitlement& e, const QuotaRule& rule, Instant now) {
  const bool from_anchor = rule.billing && e.anchor;
  const Schedule schedule =
      from_anchor ? anchored(rule.interval, *e.anchor) : calendar(rule.interval);
  return period_at(schedule, now, pg::zone(e.time_zone));
}

bool is_running(const Entitlement& e, const QuotaRule& rule, Instant now) {
  return e.per == per(rule) && now < e.period.end;
}

// Moves the state to the period that contains `now`. A period that is over starts again from zero;
// when the plan changed the kind of period, what was used so far is carried into the new one. A
// state already in a later period stays there: a count never moves back.
void advance(Entitlement& e, const QuotaRule& rule, Instant now) {
  if (is_running(e, rule, now)) return;
  if (e.per.empty() || now >= e.period.end) e.state.used = 0;
  e.period = running_period(e, rule, std::max(now, e.period.start));
  e.per = per(rule);
}

void require_amount(const Request& request) {
  if (request.amount > 0) return;
  throw Error(sqlstate::invalid_amount,
              "amount must be positive, got " + std::to_string(request.amount), {},
              "Ask for at least 1.");
}

Request read_request(FunctionCallInfo fcinfo) {
  const pg::Arguments arguments(fcinfo);
  Request request{std::string(arguments.id(0, "account_id")),
                  std::string(arguments.id(1, "feature")), arguments.int8(2, "amount"),
                  std::nullopt};
  require_amount(request);
  if (fcinfo->nargs > 3) request.key = arguments.optional_id(3, "idempotency_key");
  return request;
}

// The answer given before under the request's key, if there is one.
std::optional<Answer> remembered(const Request& request) {
  if (!request.key) return std::nullopt;
  const pg::Rows rows = select_key.run({pg::text(request.account_id), pg::text(*request.key)});
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  if (row.digest(0) != request.fingerprint())
    throw Error(sqlstate::idempotency_key_reused,
                "idempotency key \"" + *request.key + "\" was used for another request",
                "The first request under this key named another feature or amount.",
                "Use a new key for a new request.");
  return Answer{row.boolean(1),       row.string(2),
                row.int8(3),          row.optional_int8(4),
                row.optional_int8(5), row.is_null(6) ? end_of_time : row.timestamptz(6),
                row.string(7)};
}

void remember(const Request& request, const Answer& answer, Instant now) {
  if (!request.key) return;
  const pg::Rows claimed = claim_key.run(
      {pg::text(request.account_id), pg::text(*request.key), pg::bytea(request.fingerprint()),
       pg::boolean(answer.allowed), pg::text(answer.reason), pg::text(request.feature),
       pg::int8(answer.used), pg::int8(answer.quota), pg::int8(answer.remaining),
       pg::finite_timestamptz(answer.resets_at), pg::text(answer.level), pg::timestamptz(now)});
  if (claimed.processed() == 1) return;
  // Equal requests wait for one another on the entitlement row, so this one is another.
  throw Error(sqlstate::idempotency_key_reused,
              "idempotency key \"" + *request.key + "\" was used for another request",
              "Another request with this key was made at the same time.",
              "Use a new key for a new request.");
}

// Periods start again from zero, the lifetime goes on.
std::int64_t lifetime_after(const Entitlement& e, std::int64_t amount) {
  std::int64_t lifetime = 0;
  if (!__builtin_add_overflow(e.lifetime, amount, &lifetime)) return lifetime;
  throw Error(
      sqlstate::invalid_amount,
      "lifetime usage out of range: " + std::to_string(e.lifetime) + " + " + std::to_string(amount),
      "Usage is counted up to 9223372036854775807 in a lifetime.", "Count in a larger unit.");
}

// Decides on the row as it stands and counts in it, without planner and executor. Cannot tell when
// the row is not there, its period is over, or another transaction changes it at this moment.
std::optional<Answer> count_in_place(const Request& request, Catalog& plans, Instant now) {
  pg::Command command;
  pg::KeyedRow row("entitlement");
  if (!row.find(request.account_id, request.feature)) return std::nullopt;
  const Entitlement e = read_entitlement(row);
  const QuotaRule& rule = quota_rule(plans.version(e.plan, e.pinned_version), request.feature);
  if (!is_running(e, rule, now)) return std::nullopt;
  const Decision decision = decide(rule, e.state, request.amount);
  if (!decision.allowed) return answer_of(decision, e.period.end);
  const std::array<pg::KeyedRow::Change, 2> changes{{
      {used_column, pg::int8(e.state.used + request.amount)},
      {lifetime_column, pg::int8(lifetime_after(e, request.amount))},
  }};
  if (!row.update(changes)) return std::nullopt;
  return answer_of(counted(rule, e.state, request.amount), e.period.end);
}

// Counts in one statement when the row is there, its period is running and the amount fits.
std::optional<Answer> count_at_once(const Request& request, Catalog& plans, Instant now) {
  const pg::Rows rows = count_usage.run({pg::text(request.account_id), pg::text(request.feature),
                                         pg::int8(request.amount), pg::timestamptz(now)});
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  const PlanVersion& plan = plans.version(row.optional_text(3), row.optional_int4(4));
  const QuotaState before{AccountStatus::active, row.int8(0) - request.amount, row.int8(1)};
  return answer_of(counted(quota_rule(plan, request.feature), before, request.amount),
                   row.timestamptz(2));
}

// What would be answered without counting.
Answer foresee(Entitlement& e, const Request& request, Catalog& plans, Instant now) {
  const QuotaRule& rule = quota_rule(plans.version(e.plan, e.pinned_version), request.feature);
  advance(e, rule, now);
  return answer_of(decide(rule, e.state, request.amount), e.period.end);
}

void store(const Request& request, const Entitlement& before, const Entitlement& after,
           Instant now) {
  const bool closed = now >= before.period.end && before.state.used > 0;
  if (closed)
    insert_usage_period.run({pg::text(request.account_id), pg::text(request.feature),
                             pg::timestamptz(before.period.start),
                             pg::timestamptz(before.period.end), pg::int8(before.state.used)});
  store_entitlement.run({pg::text(request.account_id), pg::text(request.feature),
                         pg::int8(after.state.used), pg::int8(after.lifetime), pg::text(after.per),
                         pg::timestamptz(after.period.start), pg::timestamptz(after.period.end)});
}

[[noreturn]] void account_gone(const Request& request) {
  throw Error(sqlstate::account_not_active,
              "account \"" + request.account_id + "\" was deleted while its usage was counted", {},
              "Nothing was counted; a new call would open the account again.");
}

// Decides and counts under the row's lock: opens a new period, keeps idempotency keys.
Answer count_locked(const Request& request, Catalog& plans, Instant now) {
  const pg::Rows rows =
      lock_entitlement.run({pg::text(request.account_id), pg::text(request.feature)});
  if (const auto answer = remembered(request)) return *answer;
  if (rows.empty()) account_gone(request);
  const Entitlement before = read_entitlement(rows[0]);
  Entitlement after = before;
  const Answer foreseen = foresee(after, request, plans, now);
  if (!foreseen.allowed) return foreseen;
  const QuotaRule& rule =
      quota_rule(plans.version(after.plan, after.pinned_version), request.feature);
  const Decision decision = counted(rule, after.state, request.amount);
  after.state.used += request.amount;
  after.lifetime = lifetime_after(before, request.amount);
  store(request, before, after, now);
  const Answer answer = answer_of(decision, after.period.end);
  remember(request, answer, now);
  return answer;
}

Answer check_and_increment(const Request& request) {
  const auto plans = catalog();
  plans->feature(request.feature);
  const Instant now = pg::now();
  if (!request.key)
    if (const auto answer = count_in_place(request, *plans, now)) return *answer;
  pg::Spi spi;
  if (!request.key)
    if (const auto answer = count_at_once(request, *plans, now)) return *answer;
  if (const auto answer = remembered(request)) return *answer;
  const pg::Rows rows =
      select_entitlement.run({pg::text(request.account_id), pg::text(request.feature)});
  if (rows.empty()) {
    provision_account(request.account_id, now);
    share_account.run({pg::text(request.account_id)});
    insert_entitlement.run({pg::text(request.account_id), pg::text(request.feature)});
  } else {
    Entitlement seen = read_entitlement(rows[0]);
    const Answer foreseen = foresee(seen, request, *plans, now);
    if (!foreseen.allowed) {  // without a lock, so that a refusal writes nothing
      // What used the quota up may have been this very request, sent at the same time.
      if (const auto answer = remembered(request)) return *answer;
      return foreseen;
    }
  }
  return count_locked(request, *plans, now);
}

Answer check_quota(const Request& request) {
  pg::Spi spi;
  const auto plans = catalog();
  plans->feature(request.feature);
  const pg::Rows rows =
      select_entitlement.read({pg::text(request.account_id), pg::text(request.feature)});
  Entitlement e = rows.empty() ? unused_entitlement(load_account(request.account_id))
                               : read_entitlement(rows[0]);
  return foresee(e, request, *plans, pg::now());
}

Datum decision_datum(FunctionCallInfo fcinfo, const Request& request, const Answer& answer) {
  return pg::composite(
      fcinfo, {pg::boolean(answer.allowed), pg::text(answer.reason), pg::text(request.account_id),
               pg::text(request.feature), pg::int8(answer.used), pg::int8(answer.quota),
               pg::int8(answer.remaining), pg::finite_timestamptz(answer.resets_at),
               pg::text(answer.level)});
}

}  // namespace

// check_and_increment(account_id, feature, amount, idempotency_key) → decision
PURSER_FUNCTION(purser_check_and_increment) {
  const Request request = read_request(fcinfo);
  const Answer answer = check_and_increment(request);
  return decision_datum(fcinfo, request, answer);
}

// check_quota(account_id, feature, amount) → decision
PURSER_FUNCTION(purser_check_quota) {
  const Request request = read_request(fcinfo);
  const Answer answer = check_quota(request);
  return decision_datum(fcinfo, request, answer);
}

// usage(account_id) → setof decision: every metered feature, as the next call would be answered
PURSER_FUNCTION(purser_usage) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  const Account account = load_account(account_id);
  const Instant now = pg::now();
  std::map<std::string, Entitlement> used;
  const pg::Rows rows = select_entitlements.read({pg::text(account_id)});
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    used.emplace(rows[i].string(feature_column), read_entitlement(rows[i]));
  const PlanVersion& plan = plans->version(account.plan, account.pinned_version);
  for (const auto& [feature, value] : plan.features) {
    if (value.kind != FeatureKind::quota) continue;
    const Request request{account_id, feature, 1, std::nullopt};
    const auto found = used.find(feature);
    Entitlement e = found == used.end() ? unused_entitlement(account) : found->second;
    const Answer answer = foresee(e, request, *plans, now);
    result.add({pg::boolean(answer.allowed), pg::text(answer.reason), pg::text(account_id),
                pg::text(feature), pg::int8(answer.used), pg::int8(answer.quota),
                pg::int8(answer.remaining), pg::finite_timestamptz(answer.resets_at),
                pg::text(answer.level)});
  }
  return 0;
}

// _admits(status, plan, pinned_version, feature, per, used, held, amount) → boolean: whether a row
// of entitlement takes the amount as it stands. False also when only count_locked() can tell: the
// period's kind changed, or the plan is not in this session's memory.
PURSER_FUNCTION(purser_admits) {
  const pg::Arguments arguments(fcinfo);
  const Catalog* plans = loaded_catalog();
  if (plans == nullptr) return BoolGetDatum(false);
  const std::string_view plan_code =
      arguments.is_null(1) ? std::string_view() : pg::read_text(arguments.datum(1));
  const PlanVersion* plan = plans->cached_version(plan_code, arguments.optional_int4(2));
  if (plan == nullptr) return BoolGetDatum(false);
  const auto feature = plan->features.find(pg::read_text(arguments.datum(3)));
  if (feature == plan->features.end() || feature->second.kind != FeatureKind::quota)
    return BoolGetDatum(false);
  const QuotaRule& rule = feature->second.quota;
  if (pg::read_text(arguments.datum(4)) != per(rule)) return BoolGetDatum(false);
  const QuotaState state{stored_status(pg::read_text(arguments.datum(0))),
                         pg::read_int8(arguments.datum(5)), pg::read_int8(arguments.datum(6))};
  return BoolGetDatum(decide(rule, state, arguments.int8(7, "amount")).allowed);
}

}  // namespace purser
