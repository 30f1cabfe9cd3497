// Usage that has happened and is written down whatever the quota says: record_usage, late events
// and corrections of periods that are over, and the operator's reset.
//
// Locks: the entitlement, then a row of its past periods.
#include <algorithm>

#include "core/error.hpp"
#include "extension/entitlement.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"
#include "extension/quota_keys.hpp"

namespace purser {

namespace {

pg::Statement lock_period_at{
    "SELECT u.period_start, u.period_end, u.used FROM purser.usage_period AS u"
    " WHERE u.account_id OPERATOR(pg_catalog.=) $1 AND u.feature OPERATOR(pg_catalog.=) $2"
    "   AND u.period_start OPERATOR(pg_catalog.<=) $3 AND u.period_end OPERATOR(pg_catalog.>) $3"
    " ORDER BY u.period_start DESC LIMIT 1 FOR NO KEY UPDATE",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

// Where a period that was never used may lie: after the last that ended, before the next that
// began.
pg::Statement select_gap{
    "SELECT coalesce(pg_catalog.max(u.period_end)"
    "                  FILTER (WHERE u.period_end OPERATOR(pg_catalog.<=) $3), '-infinity'),"
    "       coalesce(pg_catalog.min(u.period_start)"
    "                  FILTER (WHERE u.period_start OPERATOR(pg_catalog.>) $3), 'infinity')"
    "  FROM purser.usage_period AS u"
    " WHERE u.account_id OPERATOR(pg_catalog.=) $1 AND u.feature OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

struct Usage {
  std::string account_id;
  std::string feature;
  std::int64_t amount = 1;
  std::optional<std::string> key;
  std::optional<Instant> at;  // when it happened; now when absent

  IdempotencyKey idempotency() const {
    Canonical canonical("record_usage/1");
    canonical.add("feature", feature).add("amount", amount);
    if (at) canonical.add("at", *at);
    return {account_id, key, pg::sha256(canonical.bytes())};
  }
};

Usage read_usage(const pg::Arguments& arguments) {
  Usage usage{std::string(arguments.id(0, "account_id")), std::string(arguments.id(1, "feature")),
              arguments.int8(2, "amount"), arguments.optional_id(3, "idempotency_key"),
              arguments.optional_timestamptz(4)};
  if (usage.amount == 0)
    throw Error(sqlstate::invalid_amount, "amount must not be 0", {},
                "Record what was used, or a negative amount to take it back.");
  return usage;
}

constexpr Instant microseconds_per_day = 86'400 * microseconds_per_second;

void require_in_window(const Usage& usage, Catalog& plans, Instant now) {
  if (!usage.at) return;
  const std::int64_t days = std::stoll(std::string(plans.setting("correction_days")));
  if (*usage.at > now)
    throw Error(sqlstate::invalid_argument, "usage cannot be recorded ahead of its time", {},
                "Pass an instant that has passed as \"at\".");
  if (*usage.at < now - days * microseconds_per_day)
    throw Error(sqlstate::invalid_argument,
                "usage of more than " + std::to_string(days) + " days ago cannot be recorded",
                "The setting correction_days says for how long periods can be corrected.",
                "Record it at a later instant, or raise the setting.");
}

// A period that is over, with what was used in it.
struct PastPeriod {
  Period period;
  std::int64_t used = 0;
};

PastPeriod past_period_at(const Counter& counter, Instant at) {
  const auto key = {pg::text(counter.account_id), pg::text(counter.feature), pg::timestamptz(at)};
  const pg::Rows found = lock_period_at.run(key);
  if (!found.empty())
    return {{found[0].timestamptz(0), found[0].timestamptz(1), 0}, found[0].int8(2)};
  const pg::Rows gap = select_gap.run(key);
  Period period = counter.period_containing(at);
  period.start = std::max(period.start, gap[0].timestamptz(0));
  period.end = std::min({period.end, gap[0].timestamptz(1), counter.row.period.start});
  return {period, 0};
}

// The period the usage belongs to changes, and the lifetime; not today's count, nor what was
// carried over from one to the other.
Answer record_in_past(Counter& counter, const Usage& usage, Instant now) {
  store(counter, now);  // closes the running period first, if that is over
  const PastPeriod past = past_period_at(counter, *usage.at);
  QuotaState state;
  state.status = counter.row.state.status;
  state.used = past.used;
  const Decision decision = recorded(counter.rule, state, usage.amount);
  counter.row.lifetime = lifetime_after(counter.row.lifetime, usage.amount);
  keep_usage(counter, past.period, usage.amount);
  store(counter, now);
  return answer_of(decision, state, past.period.end);
}

Answer record_usage(const Usage& usage) {
  const auto plans = catalog();
  plans->feature(usage.feature);
  const Instant now = pg::now();
  require_in_window(usage, *plans, now);
  Counter counter = locked_counter(usage.account_id, usage.feature, *plans, now);
  const IdempotencyKey key = usage.idempotency();
  if (const auto answers = remembered(key)) return answers->front().answer;
  Answer answer;
  if (usage.at && *usage.at < counter.row.period.start) {
    answer = record_in_past(counter, usage, now);
  } else {
    answer = counter.record(usage.amount);
    store(counter, now);
  }
  remember(key, {{usage.feature, answer}}, now);
  return answer;
}

// Ends the running period here and begins it anew, so that what was used stays in the history and
// totals still are the sum over periods.
void split_period(Counter& counter, Instant now) {
  store(counter, now);
  if (counter.row.state.used == 0) return;
  keep_usage(counter, {counter.row.period.start, now, 0}, counter.row.state.used);
  counter.row.period.start = now;
  counter.row.state.used = 0;
  store(counter, now);
}

}  // namespace

// record_usage(account_id, feature, amount, idempotency_key, at) → decision
PURSER_FUNCTION(purser_record_usage) {
  const Usage usage = read_usage(pg::Arguments(fcinfo));
  pg::Spi spi;
  const Answer answer = record_usage(usage);
  return pg::composite(fcinfo, decision_columns(usage.account_id, usage.feature, answer));
}

// _reset_usage(account_id, feature) → bigint: what had been used
PURSER_FUNCTION(purser_reset_usage) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const std::string feature(arguments.id(1, "feature"));
  pg::Spi spi;
  const auto plans = catalog();
  plans->feature(feature);
  const Instant now = pg::now();
  Counter counter = locked_counter(account_id, feature, *plans, now);
  const std::int64_t used = counter.row.state.used;
  split_period(counter, now);
  return Int64GetDatum(used);
}

}  // namespace purser
