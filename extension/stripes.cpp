// Reads and writes purser.entitlement_stripe, and switches it on and off.
#include "extension/stripes.hpp"

#include "core/stripes.hpp"
#include "extension/entitlement.hpp"
#include "extension/pg/clock.hpp"

namespace purser {

namespace {

// The table's columns by their order.
enum StripeColumn {
  stripe_column = 2,
  stripe_used_column,
  available_column,
  stripe_fresh_until_column,
  allotted_under_column
};

pg::Statement sum_stripes{
    "SELECT coalesce(pg_catalog.sum(s.used), 0)::pg_catalog.int8"
    "  FROM purser.entitlement_stripe AS s"
    " WHERE s.account_id OPERATOR(pg_catalog.=) $1 AND s.feature OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement lock_all_stripes{
    "SELECT s.used FROM purser.entitlement_stripe AS s"
    " WHERE s.account_id OPERATOR(pg_catalog.=) $1 AND s.feature OPERATOR(pg_catalog.=) $2"
    " ORDER BY s.stripe FOR NO KEY UPDATE",
    {TEXTOID, TEXTOID}};

// Stripes that stay as they are are not written.
pg::Statement allot_stripes{
    "UPDATE purser.entitlement_stripe AS s"
    "   SET used = 0, available = ($3)[s.stripe OPERATOR(pg_catalog.+) 1], fresh_until = $4,"
    "       allotted_under = $5"
    " WHERE s.account_id OPERATOR(pg_catalog.=) $1 AND s.feature OPERATOR(pg_catalog.=) $2"
    "   AND (s.used OPERATOR(pg_catalog.<>) 0"
    "        OR s.available OPERATOR(pg_catalog.<>) ($3)[s.stripe OPERATOR(pg_catalog.+) 1]"
    "        OR s.fresh_until OPERATOR(pg_catalog.<>) $4"
    "        OR s.allotted_under OPERATOR(pg_catalog.<>) $5)",
    {TEXTOID, TEXTOID, INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID}};

pg::Statement insert_stripes{
    "INSERT INTO purser.entitlement_stripe (account_id, feature, stripe)"
    " SELECT $1, $2, n"
    "   FROM pg_catalog.generate_series(0, $3 OPERATOR(pg_catalog.-) 1) AS n"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, INT4OID}};

pg::Statement delete_stripes{
    "DELETE FROM purser.entitlement_stripe AS s"
    " WHERE s.account_id OPERATOR(pg_catalog.=) $1 AND s.feature OPERATOR(pg_catalog.=) $2"
    "   AND s.stripe OPERATOR(pg_catalog.>=) $3",
    {TEXTOID, TEXTOID, INT4OID}};

pg::Statement close_all_stripes{
    "UPDATE purser.entitlement_stripe SET fresh_until = '-infinity'"
    " WHERE account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

// A session keeps to one stripe, so that a transaction that counts often holds no more than one.
int home_of_this_session(int stripes) {
  return compat_backend_number() % stripes;
}

}  // namespace

HomeStripe::HomeStripe(const std::string& account_id, const std::string& feature, int stripes)
    : row_("entitlement_stripe") {
  const int home = home_of_this_session(stripes);
  std::int64_t* used = &used_;
  found_ = row_.find_among(account_id, feature, [home, used](TupleTableSlot* row) {
    *used += pg::read_int8(row->tts_values[stripe_used_column]);
    return pg::read_int4(row->tts_values[stripe_column]) == home;
  });
}

bool HomeStripe::may_give(std::int64_t amount, const QuotaRule& rule, Instant now) const {
  return pg::read_timestamptz(row_.datum(stripe_fresh_until_column)) > now &&
         pg::read_int8(row_.datum(available_column)) >= amount &&
         pg::read_text(row_.datum(allotted_under_column)) == allotted_under(rule);
}

bool HomeStripe::give(std::int64_t amount) {
  const std::int64_t used = pg::read_int8(row_.datum(stripe_used_column)) + amount;
  const std::int64_t available = pg::read_int8(row_.datum(available_column)) - amount;
  const std::array<pg::KeyedRow::Change, 2> changes{
      {{stripe_used_column, pg::int8(used)}, {available_column, pg::int8(available)}}};
  return row_.update(changes);
}

std::int64_t seen_in_stripes(const std::string& account_id, const std::string& feature) {
  return sum_stripes.read({pg::text(account_id), pg::text(feature)})[0].int8(0);
}

std::int64_t lock_stripes(const std::string& account_id, const std::string& feature) {
  const pg::Rows rows = lock_all_stripes.run({pg::text(account_id), pg::text(feature)});
  std::int64_t used = 0;
  for (std::uint64_t i = 0; i < rows.size(); ++i) used += rows[i].int8(0);
  return used;
}

void allot(const std::string& account_id, const std::string& feature, int stripes,
           std::int64_t units, const QuotaRule& rule, Instant fresh_until) {
  allot_stripes.run({pg::text(account_id), pg::text(feature),
                     pg::int8_array(shares(units, stripes)), pg::timestamptz(fresh_until),
                     pg::text(allotted_under(rule))});
}

void set_stripes(const std::string& account_id, const std::string& feature, int stripes) {
  const pg::Value account = pg::text(account_id), of = pg::text(feature);
  delete_stripes.run({account, of, pg::int4(stripes)});
  insert_stripes.run({account, of, pg::int4(stripes)});
}

void close_stripes(const std::string& account_id) {
  close_all_stripes.run({pg::text(account_id)});
}

// _stripe_quota(account_id, feature, stripes) → integer: how many there were
PURSER_FUNCTION(purser_stripe_quota) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const std::string feature(arguments.id(1, "feature"));
  const std::int32_t stripes = arguments.int4(2, "stripes");
  require_stripes(stripes);
  pg::Spi spi;
  const auto plans = catalog();
  plans->feature(feature);
  const Instant now = pg::now();
  Counter counter = locked_counter(account_id, feature, *plans, now);
  const int before = counter.row.stripes;
  set_stripes(account_id, feature, stripes);
  counter.row.stripes = stripes;
  store(counter, now);
  return Int32GetDatum(before);
}

}  // namespace purser
