// Loads and stores wallet rows. Locks: account FOR SHARE only while a wallet is made, then the
// wallet. What the end of the account's subscription does to its lots is decided here, whenever a
// wallet is read.
#include <algorithm>
#include <span>
#include <stdexcept>

#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/subscription.hpp"
#include "extension/wallet.hpp"

namespace purser {

CancelPolicy cancel_policy() {
  CancelPolicy policy = CancelPolicy::keep;
  parse_cancel_policy(catalog()->setting("credits_on_cancel"), policy);
  return policy;
}

namespace {

// So many lots are in the arrays of the row, the first to be debited; the rest is in lot_tail.
constexpr std::size_t most_head_lots = 16;

#define ALL_LOTS(array, key, type)                  \
  " w." array                                       \
  " OPERATOR(pg_catalog.||) ARRAY("                 \
  "   SELECT t.value::" type                        \
  "     FROM pg_catalog.jsonb_array_elements_text(" \
  "            w.lot_tail OPERATOR(pg_catalog.->) '" key "') AS t (value)),"

#define OF_ALLOWANCE(key) " (w.allowance OPERATOR(pg_catalog.->>) '" key "')"

// In the order of the table, which is the order of WalletColumn; the number of lots in the tail for
// the tail, and all lots in the arrays.
// clang-format off
#define WALLET_COLUMNS                                                                          \
  "SELECT w.account_id, w.wallet, w.status, w.subscription_until, w.last_subscribed_grant,"     \
  "       w.holds_until, w.allowance_due, w.tail_until, w.alert_micros, w.top_up_micros,"       \
  "       w.allowance, w.last_grant_id,"                                                        \
  "       coalesce(pg_catalog.jsonb_array_length("                                              \
  "         w.lot_tail OPERATOR(pg_catalog.->) 'grant_ids'), 0),"                               \
  ALL_LOTS("lot_grant_ids", "grant_ids", "pg_catalog.int8")                                     \
  ALL_LOTS("lot_kinds", "kinds", "pg_catalog.text")                                             \
  ALL_LOTS("lot_priorities", "priorities", "pg_catalog.int4")                                   \
  ALL_LOTS("lot_expires_at", "expires_at", "pg_catalog.timestamptz")                            \
  ALL_LOTS("lot_held_micros", "held_micros", "pg_catalog.int8")                                 \
  ALL_LOTS("lot_remaining_micros", "remaining_micros", "pg_catalog.int8")                       \
  "       w.balance_micros, w.last_entry_no, w.head_hash,"                                      \
  OF_ALLOWANCE("amount") "::pg_catalog.numeric,"                                                \
  OF_ALLOWANCE("percent") "::pg_catalog.numeric,"                                               \
  OF_ALLOWANCE("max_multiple") "::pg_catalog.numeric,"                                          \
  OF_ALLOWANCE("days") "::pg_catalog.int4,"                                                     \
  OF_ALLOWANCE("from") "::pg_catalog.timestamptz,"                                              \
  OF_ALLOWANCE("until") "::pg_catalog.timestamptz,"                                             \
  OF_ALLOWANCE("subscribed") "::pg_catalog.bool"                                                \
  "  FROM purser.wallet AS w"                                                                   \
  " WHERE w.account_id OPERATOR(pg_catalog.=) $1 AND w.wallet OPERATOR(pg_catalog.=) $2"
// clang-format on

enum WalletColumn {
  account_id_column,
  wallet_column,
  status_column,
  subscription_until_column,
  last_subscribed_grant_column,
  holds_until_column,
  allowance_due_column,
  tail_until_column,
  alert_micros_column,
  top_up_micros_column,
  allowance_column,
  last_grant_id_column,
  lot_tail_column,
  lot_grant_ids_column,
  lot_kinds_column,
  lot_priorities_column,
  lot_expires_at_column,
  lot_held_micros_column,
  lot_remaining_micros_column,
  balance_micros_column,
  last_entry_no_column,
  head_hash_column,
  // Of a statement's row alone: what the allowance says.
  allowance_amount_column,
  rollover_percent_column,
  rollover_max_multiple_column,
  rollover_days_column,
  period_start_column,
  period_end_column,
  subscribed_column
};

pg::Statement select_wallet{WALLET_COLUMNS, {TEXTOID, TEXTOID}};

pg::Statement select_wallet_for_update{WALLET_COLUMNS " FOR NO KEY UPDATE", {TEXTOID, TEXTOID}};

// The share lock waits for a change of status in flight, which could not see the row made here.
pg::Statement insert_wallet{
    "INSERT INTO purser.wallet (account_id, wallet, status, head_hash)"
    " SELECT a.account_id, $2, a.status, $3"
    "   FROM (SELECT * FROM purser.account AS l"
    "          WHERE l.account_id OPERATOR(pg_catalog.=) $1 FOR SHARE) AS a"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, BYTEAOID}};

pg::Statement update_wallet{
    "UPDATE purser.wallet"
    "   SET last_entry_no = $3, last_grant_id = $4, balance_micros = $5, head_hash = $6,"
    "       lot_grant_ids = $7, lot_kinds = $8, lot_priorities = $9, lot_expires_at = $10,"
    "       lot_remaining_micros = $11, lot_held_micros = $12,"
    "       lot_tail = CASE WHEN $13 THEN lot_tail ELSE $14 END,"
    "       subscription_until = $15, last_subscribed_grant = $16, holds_until = $17,"
    "       allowance_due = $18, allowance = $19, tail_until = $20"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND wallet OPERATOR(pg_catalog.=) $2",
    {TEXTOID,      TEXTOID,        INT8OID,        INT8OID,      INT8OID,
     BYTEAOID,     INT8ARRAYOID,   TEXTARRAYOID,   INT4ARRAYOID, TIMESTAMPTZARRAYOID,
     INT8ARRAYOID, INT8ARRAYOID,   BOOLOID,        JSONBOID,     TIMESTAMPTZOID,
     INT8OID,      TIMESTAMPTZOID, TIMESTAMPTZOID, JSONBOID,     TIMESTAMPTZOID}};

pg::Statement select_names{
    "SELECT w.wallet FROM purser.wallet AS w"
    " WHERE w.account_id OPERATOR(pg_catalog.=) $1 ORDER BY w.wallet",
    {TEXTOID}};

#define HOLD_PARTS(key, type)                                         \
  " ARRAY(SELECT (p.value OPERATOR(pg_catalog.->>) '" key "')::" type \
  "         FROM pg_catalog.jsonb_array_elements(h.parts) AS p)"
pg::Statement select_open_holds{
    "SELECT h.hold_id, h.expires_at," HOLD_PARTS("grant_id", "pg_catalog.int8") ","
    HOLD_PARTS("kind", "pg_catalog.text") "," HOLD_PARTS("amount", "pg_catalog.text")
    "  FROM purser.credit_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.wallet OPERATOR(pg_catalog.=) $2"
    "   AND h.state OPERATOR(pg_catalog.=) 'open'"
    " ORDER BY h.expires_at, h.hold_id",
    {TEXTOID, TEXTOID}};

pg::Statement insert_credit_grant{
    "INSERT INTO purser.credit_grant (account_id, wallet, grant_id, kind, priority, amount,"
    "                                 expires_at, entry_no, granted_at, grace_days)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    {TEXTOID, TEXTOID, INT8OID, TEXTOID, INT4OID, NUMERICOID, TIMESTAMPTZOID, INT8OID,
     TIMESTAMPTZOID, INT4OID}};

pg::Statement select_credit_grant{
    "SELECT g.kind, g.priority, g.expires_at"
    "  FROM purser.credit_grant AS g"
    " WHERE g.account_id OPERATOR(pg_catalog.=) $1 AND g.wallet OPERATOR(pg_catalog.=) $2"
    "   AND g.grant_id OPERATOR(pg_catalog.=) $3",
    {TEXTOID, TEXTOID, INT8OID}};

void follow_cancel_policy(Wallet& wallet) {
  if (wallet.subscription_until == end_of_time) return;
  apply_cancel_policy(wallet.lots, cancel_policy(), wallet.subscription_until,
                      wallet.last_subscribed_grant);
}

template <class Row>
std::vector<Lot> read_lots(const Row& row) {
  const auto ids = pg::read_int8_array(row.datum(lot_grant_ids_column));
  const auto kinds = pg::read_text_array(row.datum(lot_kinds_column));
  const auto priorities = pg::read_int4_array(row.datum(lot_priorities_column));
  const auto expiries = pg::read_int8_array(row.datum(lot_expires_at_column));
  const auto remaining = pg::read_int8_array(row.datum(lot_remaining_micros_column));
  const auto held = pg::read_int8_array(row.datum(lot_held_micros_column));
  std::vector<Lot> lots;
  lots.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i)
    lots.push_back({ids.at(i), kinds.at(i), priorities.at(i), expiries.at(i),
                    Amount::from_micros(remaining.at(i)), Amount::from_micros(held.at(i))});
  return lots;
}

using Lots = std::span<const Lot>;

Lots head_of(const std::vector<Lot>& lots) {
  return Lots(lots).first(std::min(lots.size(), most_head_lots));
}

Lots tail_of(const std::vector<Lot>& lots) {
  return Lots(lots).subspan(head_of(lots).size());
}

// From a row of a statement or of the table itself.
template <class Row>
Wallet wallet_of(const Row& row) {
  Wallet wallet;
  wallet.account_id = pg::read_text(row.datum(account_id_column));
  wallet.name = pg::read_text(row.datum(wallet_column));
  wallet.status = stored_status(pg::read_text(row.datum(status_column)));
  wallet.last_entry_no = pg::read_int8(row.datum(last_entry_no_column));
  wallet.last_grant_id = pg::read_int8(row.datum(last_grant_id_column));
  wallet.balance = Amount::from_micros(pg::read_int8(row.datum(balance_micros_column)));
  wallet.head = pg::read_digest(row.datum(head_hash_column));
  wallet.lots = read_lots(row);
  wallet.subscription_until = pg::read_timestamptz(row.datum(subscription_until_column));
  wallet.last_subscribed_grant = pg::read_int8(row.datum(last_subscribed_grant_column));
  wallet.holds_until = pg::read_timestamptz(row.datum(holds_until_column));
  wallet.tail_until = pg::read_timestamptz(row.datum(tail_until_column));
  wallet.allowance.due = pg::read_timestamptz(row.datum(allowance_due_column));
  if (!row.is_null(alert_micros_column))
    wallet.alert_below = Amount::from_micros(pg::read_int8(row.datum(alert_micros_column)));
  if (!row.is_null(top_up_micros_column))
    wallet.top_up_below = Amount::from_micros(pg::read_int8(row.datum(top_up_micros_column)));
  follow_cancel_policy(wallet);
  for (const Lot& lot : wallet.lots) wallet.stored_credits += lot.remaining;
  return wallet;
}

void read_allowance(const pg::Row& row, AllowanceState& state) {
  state.allowance.amount = row.numeric(allowance_amount_column);
  state.allowance.rollover.percent = row.numeric(rollover_percent_column);
  if (!row.is_null(rollover_max_multiple_column))
    state.allowance.rollover.max_multiple = row.numeric(rollover_max_multiple_column);
  state.allowance.rollover.days = row.optional_int4(rollover_days_column);
  state.period_start = row.timestamptz(period_start_column);
  state.period_end = row.timestamptz(period_end_column);
  state.subscribed = row.boolean(subscribed_column);
}

std::string allowance_json(const AllowanceState& state) {
  const Rollover& rollover = state.allowance.rollover;
  std::string json = "{\"amount\":" + state.allowance.amount.to_string() +
                     ",\"percent\":" + rollover.percent.to_string();
  if (rollover.max_multiple) json += ",\"max_multiple\":" + rollover.max_multiple->to_string();
  if (rollover.days) json += ",\"days\":" + std::to_string(*rollover.days);
  return json + ",\"from\":" + pg::json_timestamptz(state.period_start) +
         ",\"until\":" + pg::json_timestamptz(state.period_end) +
         ",\"subscribed\":" + (state.subscribed ? "true" : "false") + "}";
}

pg::Value allowance_column_of(const AllowanceState& state) {
  return state.period_end == begin_of_time ? pg::null_value() : pg::jsonb(allowance_json(state));
}

std::optional<Wallet> first_wallet(const pg::Rows& rows) {
  if (rows.empty()) return std::nullopt;
  Wallet wallet = wallet_of(rows[0]);
  wallet.stored_tail.assign(wallet.lots.end() - rows[0].int4(lot_tail_column), wallet.lots.end());
  if (!rows[0].is_null(allowance_column)) read_allowance(rows[0], wallet.allowance);
  return wallet;
}

template <class Field, class Get>
std::vector<Field> column(Lots lots, Get get) {
  std::vector<Field> values;
  values.reserve(lots.size());
  for (const Lot& lot : lots) values.push_back(get(lot));
  return values;
}

pg::Value remaining_column(Lots lots) {
  return pg::int8_array(
      column<std::int64_t>(lots, [](const Lot& l) { return l.remaining.micros(); }));
}

// The first lots as the arrays of the row.
struct LotColumns {
  pg::Value grant_ids, kinds, priorities, expires_at, remaining_micros, held_micros;
};

LotColumns lot_columns(Lots lots) {
  return {pg::int8_array(column<std::int64_t>(lots, [](const Lot& l) { return l.grant_id; })),
          pg::text_array(column<std::string>(lots, [](const Lot& l) { return l.kind; })),
          pg::int4_array(column<std::int32_t>(lots, [](const Lot& l) { return l.priority; })),
          pg::timestamptz_array(column<Instant>(lots, [](const Lot& l) { return l.expires_at; })),
          remaining_column(lots),
          pg::int8_array(column<std::int64_t>(lots, [](const Lot& l) { return l.held.micros(); }))};
}

template <class Text>
std::string json_member(const char* key, Lots lots, Text text) {
  std::string json = "\"" + std::string(key) + "\":[";
  for (const Lot& lot : lots) json += (&lot == lots.data() ? "" : ",") + text(lot);
  return json + "]";
}

// The lots after the first, in the same arrays.
std::string tail_json(Lots lots) {
  const auto expires_at = [](const Lot& l) {
    return l.expires_at == end_of_time ? "\"infinity\"" : pg::json_timestamptz(l.expires_at);
  };
  const auto remaining = [](const Lot& l) { return std::to_string(l.remaining.micros()); };
  const auto held = [](const Lot& l) { return std::to_string(l.held.micros()); };
  return "{" +
         json_member("grant_ids", lots, [](const Lot& l) { return std::to_string(l.grant_id); }) +
         "," + json_member("kinds", lots, [](const Lot& l) { return pg::json_string(l.kind); }) +
         "," +
         json_member("priorities", lots, [](const Lot& l) { return std::to_string(l.priority); }) +
         "," + json_member("expires_at", lots, expires_at) + "," +
         json_member("remaining_micros", lots, remaining) + "," +
         json_member("held_micros", lots, held) + "}";
}

Instant first_end(Lots lots) {
  Instant first = end_of_time;
  for (const Lot& lot : lots) first = std::min(first, lot.expires_at);
  return first;
}

bool is_stored(Lots tail, const Wallet& wallet) {
  return std::equal(tail.begin(), tail.end(), wallet.stored_tail.begin(), wallet.stored_tail.end());
}

}  // namespace

std::optional<Wallet> read_wallet(std::string_view account_id, std::string_view name) {
  return first_wallet(select_wallet.read({pg::text(account_id), pg::text(name)}));
}

std::optional<Wallet> lock_wallet(std::string_view account_id, std::string_view name) {
  return first_wallet(select_wallet_for_update.run({pg::text(account_id), pg::text(name)}));
}

Wallet open_wallet(std::string_view account_id, std::string_view name, Instant now) {
  if (auto wallet = lock_wallet(account_id, name)) return *wallet;
  provision_account(account_id, now);
  const pg::Rows made =
      insert_wallet.run({pg::text(account_id), pg::text(name), pg::bytea(Digest{})});
  auto wallet = lock_wallet(account_id, name);
  if (!wallet) throw std::logic_error("wallet is gone after it was made");
  // After the insert, whose share lock keeps the subscription as it is until the commit.
  if (made.processed() == 1) wallet->subscription_until = subscription_until(account_id);
  return *wallet;
}

std::vector<std::string> wallet_names(std::string_view account_id) {
  const pg::Rows rows = select_names.run({pg::text(account_id)});
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < rows.size(); ++i) names.push_back(rows[i].string(0));
  return names;
}

void load_holds(Wallet& wallet, View view) {
  const std::initializer_list<pg::Value> key = {pg::text(wallet.account_id), pg::text(wallet.name)};
  const pg::Rows rows =
      view == View::newest ? select_open_holds.run(key) : select_open_holds.read(key);
  wallet.holds.clear();
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    OpenHold hold{row.string(0), row.timestamptz(1), {}};
    const auto ids = pg::read_int8_array(row.datum(2));
    const auto kinds = pg::read_text_array(row.datum(3));
    const auto amounts = pg::read_text_array(row.datum(4));
    for (std::size_t part = 0; part < ids.size(); ++part)
      hold.parts.push_back({ids[part], kinds.at(part), Amount::parse(amounts.at(part))});
    wallet.holds.push_back(std::move(hold));
  }
}

Instant first_expiry(const std::vector<OpenHold>& holds) {
  Instant first = end_of_time;
  for (const OpenHold& hold : holds) first = std::min(first, hold.expires_at);
  return first;
}

void store_wallet(const Wallet& wallet) {
  const LotColumns lots = lot_columns(head_of(wallet.lots));
  const Lots tail = tail_of(wallet.lots);
  const bool keep_tail = is_stored(tail, wallet);
  const pg::Value tail_column =
      keep_tail || tail.empty() ? pg::null_value() : pg::jsonb(tail_json(tail));
  update_wallet.run({pg::text(wallet.account_id),
                     pg::text(wallet.name),
                     pg::int8(wallet.last_entry_no),
                     pg::int8(wallet.last_grant_id),
                     pg::int8(wallet.balance.micros()),
                     pg::bytea(wallet.head),
                     lots.grant_ids,
                     lots.kinds,
                     lots.priorities,
                     lots.expires_at,
                     lots.remaining_micros,
                     lots.held_micros,
                     pg::boolean(keep_tail),
                     tail_column,
                     pg::timestamptz(wallet.subscription_until),
                     pg::int8(wallet.last_subscribed_grant),
                     pg::timestamptz(wallet.holds_until),
                     pg::timestamptz(wallet.allowance.due),
                     allowance_column_of(wallet.allowance),
                     pg::timestamptz(first_end(tail))});
}

namespace {

// Whether two states of the lots are the same but for what remains of each, as after most charges.
bool differ_in_remaining_only(const std::vector<Lot>& a, const std::vector<Lot>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](Lot before, const Lot& after) {
    before.remaining = after.remaining;
    return before == after;
  });
}

}  // namespace

std::optional<Wallet> WalletInPlace::read(std::string_view account_id, std::string_view name) {
  if (!row_.find(account_id, name)) return std::nullopt;
  Wallet wallet = wallet_of(row_);
  wallet.is_partial = !row_.is_null(lot_tail_column);
  lots_ = wallet.lots;
  return wallet;
}

bool WalletInPlace::store(const Wallet& wallet) {
  std::vector<pg::KeyedRow::Change> changes{
      {balance_micros_column, pg::int8(wallet.balance.micros())},
      {last_entry_no_column, pg::int8(wallet.last_entry_no)},
      {head_hash_column, pg::bytea(wallet.head)},
      {lot_remaining_micros_column, remaining_column(wallet.lots)},
  };
  if (!differ_in_remaining_only(lots_, wallet.lots)) {
    const LotColumns lots = lot_columns(wallet.lots);
    changes.insert(changes.end(), {{last_grant_id_column, pg::int8(wallet.last_grant_id)},
                                   {lot_grant_ids_column, lots.grant_ids},
                                   {lot_kinds_column, lots.kinds},
                                   {lot_priorities_column, lots.priorities},
                                   {lot_expires_at_column, lots.expires_at},
                                   {lot_held_micros_column, lots.held_micros}});
  }
  return row_.update(changes);
}

void insert_grant(const Wallet& wallet, const GrantRecord& grant) {
  const Lot& lot = grant.lot;
  insert_credit_grant.run({pg::text(wallet.account_id), pg::text(wallet.name),
                           pg::int8(lot.grant_id), pg::text(lot.kind), pg::int4(lot.priority),
                           pg::numeric(lot.remaining), pg::timestamptz(lot.expires_at),
                           pg::int8(grant.entry_no), pg::timestamptz(grant.granted_at),
                           pg::int4(grant.grace_days)});
}

Lot grant_template(const Wallet& wallet, std::int64_t grant_id) {
  const pg::Rows rows = select_credit_grant.run(
      {pg::text(wallet.account_id), pg::text(wallet.name), pg::int8(grant_id)});
  if (rows.empty()) throw std::logic_error("no record of grant " + std::to_string(grant_id));
  const pg::Row row = rows[0];
  std::vector<Lot> lots{
      {grant_id, row.string(0), row.int4(1), row.timestamptz(2), Amount(), Amount()}};
  apply_cancel_policy(lots, cancel_policy(), wallet.subscription_until,
                      wallet.last_subscribed_grant);
  return lots[0];
}

}  // namespace purser
