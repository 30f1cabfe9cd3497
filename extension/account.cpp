// Reads and provisions accounts.
#include <stdexcept>

#include "extension/account.hpp"
#include "extension/pg/clock.hpp"

namespace purser {

namespace {

pg::Statement select_account{
    "SELECT a.status, a.time_zone, s.plan, s.pinned_version, s.anchor"
    "  FROM purser.account AS a"
    "  LEFT JOIN purser.subscription AS s"
    "    ON s.account_id OPERATOR(pg_catalog.=) a.account_id AND s.ended_at IS NULL"
    " WHERE a.account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

pg::Statement insert_account{
    "INSERT INTO purser.account (account_id, created_at) VALUES ($1, $2)"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TIMESTAMPTZOID}};

}  // namespace

AccountStatus stored_status(std::string_view text) {
  AccountStatus status;
  if (!parse_account_status(text, status))
    throw std::logic_error("unknown account status " + std::string(text));
  return status;
}

Account load_account(std::string_view account_id, Instant) {
  const pg::Rows rows = select_account.read({pg::text(account_id)});
  if (rows.empty()) return {};
  const pg::Row row = rows[0];
  Account account{stored_status(row.text(0)), row.string(1), row.optional_text(2),
                  row.optional_int4(3), std::nullopt};
  if (!row.is_null(4)) account.anchor = row.int8(4);
  return account;
}

Terms load_terms(std::string_view account_id, std::string_view, Instant now) {
  return {load_account(account_id, now), std::nullopt, end_of_time};
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
