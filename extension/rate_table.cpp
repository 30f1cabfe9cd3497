// Rate limits without shared memory. Found and rewritten in place where nobody else is at the row,
// under its lock otherwise.
//
// Locks: one row of rate_bucket, after all others of the lock order. Rows that are full again go as
// new ones come: the call that makes a row looks at one page of the table and deletes what it may.
// Only outside of transaction blocks, so that no lock on another's row is kept.
#include "extension/rate_table.hpp"

#include <array>
#include <optional>

#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

extern "C" {
#include "storage/itemptr.h"
}

namespace purser::rate_table {

namespace {

// In the order of the table.
enum Column {
  full_at_column = 2,
  fraction_column,
  counted_at_column,
  max_column,
  window_column,
};

#define SELECT_BUCKET                                                                  \
  "SELECT b.account_id, b.scope, b.full_at, b.fraction, b.counted_at, b.max_requests," \
  "       b.per_micros"                                                                \
  "  FROM purser.rate_bucket AS b"                                                     \
  " WHERE b.account_id OPERATOR(pg_catalog.=) $1 AND b.scope OPERATOR(pg_catalog.=) $2"

pg::Statement select_bucket{SELECT_BUCKET, {TEXTOID, TEXTOID}};

pg::Statement lock_bucket{SELECT_BUCKET " FOR NO KEY UPDATE", {TEXTOID, TEXTOID}};

pg::Statement insert_bucket{
    "INSERT INTO purser.rate_bucket"
    " (account_id, scope, full_at, fraction, counted_at, max_requests, per_micros)"
    " VALUES ($1, $2, '-infinity', 0, '-infinity', 0, 0) ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID}};

pg::Statement store_bucket{
    "UPDATE purser.rate_bucket"
    "   SET full_at = $3, fraction = $4, counted_at = $5, max_requests = $6, per_micros = $7"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND scope OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID}};

pg::Statement delete_bucket{
    "DELETE FROM purser.rate_bucket"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND scope OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement count_pages{
    "SELECT pg_catalog.pg_relation_size('purser.rate_bucket'::pg_catalog.regclass)"
    "       OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8",
    {}};

pg::Statement delete_full_buckets{
    "DELETE FROM purser.rate_bucket WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
    "  SELECT b.ctid FROM purser.rate_bucket AS b"
    "   WHERE b.ctid OPERATOR(pg_catalog.>=) $1 AND b.ctid OPERATOR(pg_catalog.<) $2"
    "     AND b.full_at OPERATOR(pg_catalog.<) $3"
    "     FOR UPDATE SKIP LOCKED))",
    {TIDOID, TIDOID, TIMESTAMPTZOID}};

template <class Source>
RateState read_state(const Source& row) {
  RateState state;
  state.full_at = pg::read_timestamptz(row.datum(full_at_column));
  state.fraction = static_cast<std::uint64_t>(pg::read_int8(row.datum(fraction_column)));
  state.counted_at = pg::read_timestamptz(row.datum(counted_at_column));
  state.filled_under = {pg::read_int8(row.datum(max_column)),
                        pg::read_int8(row.datum(window_column))};
  return state;
}

// The columns that change, from full_at_column on.
std::array<pg::Value, 5> values_of(const RateState& state) {
  return {pg::timestamptz(state.full_at), pg::int8(static_cast<std::int64_t>(state.fraction)),
          pg::timestamptz(state.counted_at), pg::int8(state.filled_under.max),
          pg::int8(state.filled_under.window)};
}

// Cannot tell when the row is not there or another transaction is changing it.
std::optional<RateDecision> take_in_place(std::string_view owner, std::string_view scope,
                                          const RateLimit& limit, std::int64_t cost, Instant now) {
  pg::Command command;
  pg::KeyedRow row("rate_bucket");
  if (!row.find(owner, scope)) return std::nullopt;
  RateState state = read_state(row);
  const RateDecision decision = purser::take(limit, state, cost, now);
  if (!decision.allowed) return decision;
  std::array<pg::KeyedRow::Change, 5> changes;
  int column = full_at_column;
  for (const pg::Value& value : values_of(state)) {
    changes[static_cast<std::size_t>(column - full_at_column)] = {column, value};
    ++column;
  }
  if (!row.update(changes)) return std::nullopt;
  return decision;
}

void delete_full_on_some_page(Instant now) {
  if (IsTransactionBlock()) return;
  const std::int64_t pages = count_pages.run({})[0].int8(0);
  if (pages == 0) return;
  const auto page =
      static_cast<BlockNumber>(static_cast<std::uint64_t>(now) % static_cast<std::uint64_t>(pages));
  ItemPointerData first;
  ItemPointerData next;
  ItemPointerSet(&first, page, 0);
  ItemPointerSet(&next, page + 1, 0);
  delete_full_buckets.run(
      {{PointerGetDatum(&first), false}, {PointerGetDatum(&next), false}, pg::timestamptz(now)});
}

RateDecision take_locked(std::string_view owner, std::string_view scope, const RateLimit& limit,
                         std::int64_t cost, Instant now) {
  const pg::Value key[] = {pg::text(owner), pg::text(scope)};
  pg::Rows rows = lock_bucket.run(key);
  while (rows.empty()) {  // also when a full one was cleaned away just now
    if (insert_bucket.run(key).processed() == 1) delete_full_on_some_page(now);
    rows = lock_bucket.run(key);
  }
  RateState state = read_state(rows[0]);
  const RateDecision decision = purser::take(limit, state, cost, now);
  if (!decision.allowed) return decision;
  const auto values = values_of(state);
  store_bucket.run({key[0], key[1], values[0], values[1], values[2], values[3], values[4]});
  return decision;
}

}  // namespace

RateDecision take(std::string_view owner, std::string_view scope, const RateLimit& limit,
                  std::int64_t cost, Instant now) {
  if (const auto decision = take_in_place(owner, scope, limit, cost, now)) return *decision;
  pg::Spi spi;
  return take_locked(owner, scope, limit, cost, now);
}

RateDecision look(std::string_view owner, std::string_view scope, const RateLimit& limit,
                  std::int64_t cost, Instant now) {
  pg::Spi spi;
  const pg::Rows rows = select_bucket.run({pg::text(owner), pg::text(scope)});
  RateState state = rows.empty() ? RateState() : read_state(rows[0]);
  return purser::take(limit, state, cost, now);
}

void clear(std::string_view owner, std::string_view scope) {
  pg::Spi spi;
  delete_bucket.run({pg::text(owner), pg::text(scope)});
}

}  // namespace purser::rate_table
