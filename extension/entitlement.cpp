// Reads, brings up to date and writes rows of purser.entitlement.
#include "extension/entitlement.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/stripes.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"
#include "extension/stripes.hpp"

namespace purser {

namespace {

// In the order of the table, which is the order of EntitlementColumn.
#define ENTITLEMENT_COLUMNS                                                                \
  "e.account_id, e.feature, e.used, e.held, e.carried, e.lifetime, e.period_start,"        \
  " e.period_end, e.fresh_until, e.pinned_version, e.stripes, e.anchor, e.status, e.plan," \
  " e.per, e.time_zone, e.override"

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

pg::Statement make_stale{
    "UPDATE purser.entitlement SET fresh_until = '-infinity'"
    " WHERE account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

pg::Statement update_entitlement{
    "UPDATE purser.entitlement"
    "   SET used = $3, held = $4, carried = $5, lifetime = $6, period_start = $7, period_end = $8,"
    "       fresh_until = $9, pinned_version = $10, anchor = $11, status = $12, plan = $13,"
    "       per = $14, time_zone = $15, override = $16, stripes = $17"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND feature OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
     TIMESTAMPTZOID, INT4OID, TIMESTAMPOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID}};

// Keeps the account from being deleted under the row that is made next.
pg::Statement keep_account{
    "SELECT FROM purser.account AS a WHERE a.account_id OPERATOR(pg_catalog.=) $1 FOR KEY SHARE",
    {TEXTOID}};

pg::Statement insert_entitlement{
    "INSERT INTO purser.entitlement (account_id, feature)"
    " SELECT a.account_id, $2 FROM purser.account AS a"
    "  WHERE a.account_id OPERATOR(pg_catalog.=) $1"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID}};

// No row when someone is changing the account at this moment.
pg::Statement share_account{
    "SELECT FROM purser.account AS a WHERE a.account_id OPERATOR(pg_catalog.=) $1"
    "   FOR SHARE SKIP LOCKED",
    {TEXTOID}};

pg::Statement insert_usage_period{
    "INSERT INTO purser.usage_period AS u (account_id, feature, period_start, period_end, used)"
    " VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (account_id, feature, period_end)"
    " DO UPDATE SET used = u.used OPERATOR(pg_catalog.+) excluded.used",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};

pg::Statement select_open_holds{
    "SELECT coalesce(pg_catalog.sum(h.amount), 0)::pg_catalog.int8,"
    "       coalesce(pg_catalog.min(h.expires_at), 'infinity')"
    "  FROM purser.quota_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.feature OPERATOR(pg_catalog.=) $2"
    "   AND h.state OPERATOR(pg_catalog.=) 'open' AND h.expires_at OPERATOR(pg_catalog.>) $3",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

pg::Statement expire_holds{
    "UPDATE purser.quota_hold SET state = 'expired', ended_at = expires_at"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND feature OPERATOR(pg_catalog.=) $2"
    "   AND state OPERATOR(pg_catalog.=) 'open' AND expires_at OPERATOR(pg_catalog.<=) $3",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

pg::Statement insert_event{
    "INSERT INTO purser.event (event_id, at, kind, account_id, payload)"
    " VALUES (pg_catalog.gen_random_uuid()::pg_catalog.text, $1, $2, $3,"
    "         pg_catalog.jsonb_build_object('feature', $4, 'used', $5, 'quota', $6, 'percent', $7,"
    "                                       'resets_at', $8))",
    {TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT4OID, TIMESTAMPTZOID}};

Entitlement read_entitlement(const pg::Row& row) {
  Entitlement e;
  e.state = {stored_status(row.text(status_column)), row.int8(used_column), row.int8(held_column),
             row.int8(carried_column)};
  e.lifetime = row.int8(lifetime_column);
  e.period = {row.timestamptz(period_start_column), row.timestamptz(period_end_column), 0};
  e.fresh_until = row.timestamptz(fresh_until_column);
  e.plan = row.optional_text(plan_column);
  e.pinned_version = row.optional_int4(pinned_version_column);
  e.stripes = row.int4(stripes_column);
  e.anchor = row.optional_int8(anchor_column);
  e.per = row.string(per_column);
  e.time_zone = row.string(time_zone_column);
  e.override_value = row.optional_text(override_column);
  return e;
}

QuotaRule rule_of(const Entitlement& e, std::string_view feature, Catalog& plans) {
  return quota_rule(plans, plans.version(e.plan, e.pinned_version), feature, e.override_value);
}

Schedule schedule_of(const Entitlement& e, const QuotaRule& rule) {
  return rule.billing && e.anchor ? anchored(rule.interval, *e.anchor) : calendar(rule.interval);
}

// True when the bounds of the row's period still follow from its terms.
bool set_terms(Entitlement& e, Terms terms) {
  const bool same_clock =
      e.time_zone == terms.account.time_zone && e.anchor == terms.account.anchor;
  e.state.status = terms.account.status;
  e.plan = std::move(terms.account.plan);
  e.pinned_version = terms.account.pinned_version;
  e.anchor = terms.account.anchor;
  e.time_zone = std::move(terms.account.time_zone);
  e.override_value = std::move(terms.override_value);
  return same_clock;
}

// Opens the period that contains `now`. When the kind of period has changed, what was used so far
// is carried into it. A row already in a later period stays there: a count never moves back.
void open_period(Counter& counter, Instant now) {
  Entitlement& e = counter.row;
  e.period =
      period_at(schedule_of(e, counter.rule), std::max(now, e.period.start), pg::zone(e.time_zone));
  e.per = per_word(counter.rule);
}

// How many whole periods lie between an instant and the running one.
std::int64_t periods_since(const Counter& counter, Instant at) {
  return counter.row.period.number - counter.period_containing(at).number;
}

// A period that is over leaves what was not used of it, and so do those after it that nobody used.
void begin_anew(Counter& counter, const QuotaRule& closing_rule) {
  QuotaState& state = counter.row.state;
  const Period ended = counter.closed->period;
  state.carried = carried_over(closing_rule, state, periods_since(counter, ended.end));
  state.used = 0;
}

// So do the periods since the account came to its plan, before anybody used the feature.
void begin(Counter& counter, Instant since) {
  QuotaState& state = counter.row.state;
  if (counter.rule.rollover > 0 && since < counter.row.period.start)
    state.carried = carried_over(counter.rule, state, periods_since(counter, since) - 1);
}

// Held units are those of holds that are still open at `now`. Returns when that changes next.
Instant count_holds(Counter& counter, Instant now) {
  if (counter.row.state.held == 0) return end_of_time;
  const pg::Rows rows = select_open_holds.read(
      {pg::text(counter.account_id), pg::text(counter.feature), pg::timestamptz(now)});
  const std::int64_t held = rows[0].int8(0);
  counter.holds_expired = held != counter.row.state.held;
  counter.row.state.held = held;
  return rows[0].timestamptz(1);
}

// `keep` says whether the terms will still be the account's when this transaction has ended.
void bring_up_to_date(Counter& counter, Catalog& plans, Instant now, bool keep) {
  Entitlement& e = counter.row;
  const bool opened = !e.per.empty();
  if (opened && now < e.fresh_until) {
    counter.rule = rule_of(e, counter.feature, plans);
    if (e.per == per_word(counter.rule)) return;
  }
  const bool over = opened && now >= e.period.end;
  std::optional<QuotaRule> closing_rule;
  if (over) closing_rule = rule_of(e, counter.feature, plans);
  if (over) counter.closed = e;
  Terms terms = load_terms(counter.account_id, counter.feature, now);
  const Instant since = terms.account.since, terms_until = terms.until;
  const bool same_clock = set_terms(e, std::move(terms));
  counter.rule = rule_of(e, counter.feature, plans);
  if (over || !same_clock || e.per != per_word(counter.rule)) open_period(counter, now);
  if (over)
    begin_anew(counter, *closing_rule);
  else if (!opened)
    begin(counter, since);
  const Instant holds_until = count_holds(counter, now);
  e.fresh_until = keep ? std::min({e.period.end, terms_until, holds_until}) : begin_of_time;
}

Counter counter_of(const std::string& account_id, const std::string& feature,
                   std::optional<Entitlement> row, Catalog& plans, Instant now, bool keep) {
  Counter counter{account_id, feature, row ? std::move(*row) : Entitlement(), {}, {}, {}, false};
  bring_up_to_date(counter, plans, now, keep);
  counter.start = counter.row.state;
  return counter;
}

// What the stripes have counted was counted in the period and the lifetime of the row.
void take_up(Entitlement& e, std::int64_t counted_in_stripes) {
  e.state.used += counted_in_stripes;
  e.lifetime += counted_in_stripes;
}

// Its stripes start from zero, with what may be counted in them without knowing the sum.
void share_out(const Counter& counter) {
  const Entitlement& e = counter.row;
  const std::int64_t units = countable_apart(counter.rule, e.state, e.lifetime);
  allot(counter.account_id, counter.feature, e.stripes, units, counter.rule, e.fresh_until);
}

std::optional<Entitlement> first_row(const pg::Rows& rows) {
  return rows.empty() ? std::nullopt : std::optional(read_entitlement(rows[0]));
}

std::optional<Entitlement> lock_row(const std::string& account_id, const std::string& feature,
                                    Instant now) {
  const auto lock = [&] {
    return first_row(lock_entitlement.run({pg::text(account_id), pg::text(feature)}));
  };
  if (auto row = lock()) return row;
  // An account that is there is not inserted again: that would wait for whoever is changing it.
  const auto keep = [&] { return keep_account.run({pg::text(account_id)}).processed() == 1; };
  if (!keep()) {
    provision_account(account_id, now);
    keep();
  }
  insert_entitlement.run({pg::text(account_id), pg::text(feature)});
  return lock();
}

}  // namespace

const char* per_word(const QuotaRule& rule) {
  if (!rule.billing) return to_string(rule.interval);
  return rule.interval == Interval::year ? "billing_year" : "billing";
}

std::int64_t lifetime_after(std::int64_t lifetime, std::int64_t amount) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(lifetime, amount, &sum)) return sum;
  throw Error(
      sqlstate::invalid_amount,
      "lifetime usage out of range: " + std::to_string(lifetime) + " + " + std::to_string(amount),
      "Usage is counted up to 9223372036854775807 in a lifetime.", "Count in a larger unit.");
}

QuotaRule quota_rule(const Catalog& plans, const PlanVersion& plan, std::string_view feature,
                     std::optional<std::string_view> override_value) {
  const FeatureValue& value = plan.features.find(feature)->second;
  if (value.kind != FeatureKind::quota)
    throw Error(
        sqlstate::invalid_argument,
        "feature \"" + std::string(feature) + "\" is a " + to_string(value.kind) + ", not a quota",
        {}, "Ask for it with purser.has_feature() or purser.feature_value().");
  if (!override_value) return value.quota;
  return overridden(value, plans.feature(feature), *override_value).quota;
}

Answer Counter::answer(const Decision& decision) const {
  return answer_of(decision, row.state, row.period.end);
}

Period Counter::period_containing(Instant at) const {
  return period_at(schedule_of(row, rule), at, pg::zone(row.time_zone));
}

Answer Counter::decide(std::int64_t amount) const {
  return answer(purser::decide(rule, row.state, amount));
}

void Counter::add(std::int64_t amount) {
  row.lifetime = lifetime_after(row.lifetime, amount);
  row.state.used += amount;
}

Answer Counter::count(std::int64_t amount) {
  const Decision decision = counted(rule, row.state, amount);
  add(amount);
  return answer(decision);
}

Answer Counter::record(std::int64_t amount) {
  const Decision decision = recorded(rule, row.state, amount);
  add(amount);
  return answer(decision);
}

Counter seen_counter(const std::string& account_id, const std::string& feature, Catalog& plans,
                     Instant now) {
  auto row = first_row(select_entitlement.read({pg::text(account_id), pg::text(feature)}));
  if (row && row->stripes != 0) take_up(*row, seen_in_stripes(account_id, feature));
  return counter_of(account_id, feature, std::move(row), plans, now, false);
}

Counter locked_counter(const std::string& account_id, const std::string& feature, Catalog& plans,
                       Instant now) {
  std::optional<Entitlement> row = lock_row(account_id, feature, now);
  if (!row)
    throw Error(sqlstate::account_not_active,
                "account \"" + account_id + "\" was deleted while its usage was counted", {},
                "Nothing was counted; a new call would open the account again.");
  if (row->stripes != 0) take_up(*row, lock_stripes(account_id, feature));
  const bool stale = now >= row->fresh_until;
  const bool keep = !stale || share_account.run({pg::text(account_id)}).processed() == 1;
  pg::Command command;  // sees what the locks waited for
  return counter_of(account_id, feature, std::move(row), plans, now, keep);
}

std::map<std::string, Counter> seen_counters(const std::string& account_id, Catalog& plans,
                                             Instant now) {
  std::map<std::string, Entitlement> stored;
  const pg::Rows rows = select_entitlements.read({pg::text(account_id)});
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    stored.emplace(rows[i].string(feature_column), read_entitlement(rows[i]));
  for (auto& [feature, row] : stored)
    if (row.stripes != 0) take_up(row, seen_in_stripes(account_id, feature));
  const Account account = load_account(account_id, now);
  std::map<std::string, Counter> counters;
  for (const auto& [feature, value] :
       plans.version(account.plan, account.pinned_version).features) {
    if (value.kind != FeatureKind::quota) continue;
    const auto found = stored.find(feature);
    auto row = found == stored.end() ? std::nullopt : std::optional(std::move(found->second));
    counters.emplace(feature, counter_of(account_id, feature, std::move(row), plans, now, false));
  }
  return counters;
}

void keep_usage(const Counter& counter, const Period& period, std::int64_t used) {
  insert_usage_period.run({pg::text(counter.account_id), pg::text(counter.feature),
                           pg::timestamptz(period.start), pg::timestamptz(period.end),
                           pg::int8(used)});
}

void store(Counter& counter, Instant now) {
  const Entitlement& e = counter.row;
  if (counter.closed && counter.closed->state.used > 0)
    keep_usage(counter, counter.closed->period, counter.closed->state.used);
  if (counter.holds_expired)
    expire_holds.run(
        {pg::text(counter.account_id), pg::text(counter.feature), pg::timestamptz(now)});
  update_entitlement.run(
      {pg::text(counter.account_id), pg::text(counter.feature), pg::int8(e.state.used),
       pg::int8(e.state.held), pg::int8(e.state.carried), pg::int8(e.lifetime),
       pg::timestamptz(e.period.start), pg::timestamptz(e.period.end),
       pg::timestamptz(e.fresh_until), pg::int4(e.pinned_version),
       e.anchor ? pg::timestamp(*e.anchor) : pg::null_value(), pg::text(to_string(e.state.status)),
       pg::text_or_null(e.plan), pg::text(e.per), pg::text(e.time_zone),
       pg::text_or_null(e.override_value), pg::int4(e.stripes)});
  if (e.stripes != 0) share_out(counter);
  emit_crossing(counter.account_id, counter.feature, counter.rule, counter.start, e.state.used,
                e.period.end, now);
  counter.closed.reset();
  counter.holds_expired = false;
  counter.start = e.state;
}

void emit_crossing(const std::string& account_id, const std::string& feature, const QuotaRule& rule,
                   const QuotaState& before, std::int64_t used, Instant resets_at, Instant now) {
  const char* level = crossed_level(rule, before, used);
  if (level == nullptr) return;
  QuotaState after = before;
  after.used = used;
  const Decision standing = decide(rule, after, 0);
  insert_event.run({pg::timestamptz(now), pg::text(std::string("quota.") + level),
                    pg::text(account_id), pg::text(feature), pg::int8(used),
                    pg::int8(standing.quota), pg::int4(standing.percent),
                    pg::finite_timestamptz(resets_at)});
}

// _terms_changed(account_id): every counter of the account looks its terms up again.
PURSER_FUNCTION(purser_terms_changed) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  pg::Spi spi;
  const std::uint64_t reached = make_stale.run({pg::text(account_id)}).processed();
  close_stripes(account_id);
  if (!IsolationUsesXactSnapshot()) return 0;
  pg::NewestSnapshot snapshot;
  if (select_entitlements.read({pg::text(account_id)}).size() != reached)
    throw Error(
        sqlstate::serialization_failure,
        "could not serialize access: account \"" + account_id + "\" used another feature meanwhile",
        {}, "Repeat the transaction.");
  return 0;
}

}  // namespace purser
