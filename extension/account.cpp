// Reads and provisions accounts.
#include <algorithm>
#include <stdexcept>

#include "extension/account.hpp"
#include "extension/pg/clock.hpp"
#include "extension/subscription.hpp"

namespace purser {

namespace {

#define ACCOUNT_TERMS "SELECT a.status, a.time_zone, a.created_at, " PURSER_SUBSCRIPTION_COLUMNS
#define ACCOUNT_SOURCES                  \
  "  FROM purser.account AS a"           \
  "  LEFT JOIN purser.subscription AS s" \
  "    ON s.account_id OPERATOR(pg_catalog.=) a.account_id AND s.ended_at IS NULL"

pg::Statement select_account{
    ACCOUNT_TERMS ACCOUNT_SOURCES " WHERE a.account_id OPERATOR(pg_catalog.=) $1", {TEXTOID}};

pg::Statement select_terms{ACCOUNT_TERMS ", o.value, o.expires_at" ACCOUNT_SOURCES
                                         "  LEFT JOIN purser.feature_override AS o"
                                         "    ON o.account_id OPERATOR(pg_catalog.=) a.account_id"
                                         "   AND o.feature OPERATOR(pg_catalog.=) $2"
                                         " WHERE a.account_id OPERATOR(pg_catalog.=) $1",
                           {TEXTOID, TEXTOID}};

constexpr int first_subscription_column = 3;
constexpr int override_column = first_subscription_column + subscription_columns;
constexpr int override_end_column = override_column + 1;

pg::Statement insert_account{
    "INSERT INTO purser.account (account_id, created_at) VALUES ($1, $2)"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TIMESTAMPTZOID}};

// The subscription as time has left it by `now`.
Account account_of(const pg::Row& row, Instant now) {
  Account account;
  account.status = stored_status(row.text(0));
  account.time_zone = row.string(1);
  account.since = row.timestamptz(2);
  const std::optional<Subscription> stored = read_subscription(row, first_subscription_column);
  if (!stored) return account;
  const SubscriptionTerms terms = terms_at(*stored, now, pg::zone(account.time_zone));
  account.until = terms.until;
  if (!terms.live) return account;
  account.since = terms.live->started_at;
  account.plan = terms.live->plan;
  account.pinned_version = terms.live->pinned_version;
  account.anchor = terms.live->anchor;
  return account;
}

}  // namespace

AccountStatus stored_status(std::string_view text) {
  AccountStatus status;
  if (!parse_account_status(text, status))
    throw std::logic_error("unknown account status " + std::string(text));
  return status;
}

Account load_account(std::string_view account_id, Instant now) {
  const pg::Rows rows = select_account.read({pg::text(account_id)});
  return rows.empty() ? Account() : account_of(rows[0], now);
}

std::optional<AccountTimeline> load_timeline(std::string_view account_id, View view) {
  const std::initializer_list<pg::Value> key = {pg::text(account_id)};
  const pg::Rows rows = view == View::newest ? select_account.run(key) : select_account.read(key);
  if (rows.empty()) return std::nullopt;
  return AccountTimeline{rows[0].timestamptz(2), rows[0].string(1),
                         read_subscription(rows[0], first_subscription_column)};
}

Terms load_terms(std::string_view account_id, std::string_view feature, Instant now) {
  const pg::Rows rows = select_terms.read({pg::text(account_id), pg::text(feature)});
  if (rows.empty()) return {};
  const pg::Row row = rows[0];
  Terms terms{account_of(row, now), std::nullopt, end_of_time};
  terms.until = terms.account.until;
  const Instant lapses = row.optional_int8(override_end_column).value_or(end_of_time);
  if (row.is_null(override_column) || lapses <= now) return terms;
  terms.override_value = row.jsonb(override_column);
  terms.until = std::min(terms.until, lapses);
  return terms;
}

void provision_account(std::string_view account_id, Instant now) {
  insert_account.run({pg::text(account_id), pg::timestamptz(now)});
}

// clock() → timestamptz
PURSER_FUNCTION(purser_clock) {
  return TimestampTzGetDatum(pg::now());
}

// _checked_id(value text, name text) → text: the rules for identifiers, for functions in SQL.
PURSER_FUNCTION(purser_checked_id) {
  const pg::Arguments arguments(fcinfo);
  const std::string name(pg::read_text(arguments.datum(1)));
  arguments.id(0, name.c_str());
  return arguments.datum(0);
}

// _checked_time_zone(name text) → text
PURSER_FUNCTION(purser_checked_time_zone) {
  const pg::Arguments arguments(fcinfo);
  pg::zone(arguments.id(0, "time_zone"));
  return arguments.datum(0);
}

}  // namespace purser
