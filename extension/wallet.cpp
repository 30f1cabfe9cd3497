// Loads and stores wallet rows. Locks: account FOR SHARE only while a wallet is made, then the
// wallet.
#include <stdexcept>

#include "extension/account.hpp"
#include "extension/wallet.hpp"

namespace purser {

namespace {

#define WALLET_COLUMNS                                                                \
  "SELECT w.status, w.last_entry_no, w.last_grant_id, w.balance_micros, w.head_hash," \
  "       w.lot_grant_ids, w.lot_kinds, w.lot_priorities, w.lot_expires_at,"          \
  "       w.lot_remaining_micros, w.lot_held_micros"                                  \
  "  FROM purser.wallet AS w"                                                         \
  " WHERE w.account_id OPERATOR(pg_catalog.=) $1 AND w.wallet OPERATOR(pg_catalog.=) $2"

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
    "       lot_remaining_micros = $11, lot_held_micros = $12"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND wallet OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, BYTEAOID, INT8ARRAYOID, TEXTARRAYOID,
     INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

pg::Statement insert_credit_grant{
    "INSERT INTO purser.credit_grant (account_id, wallet, grant_id, kind, priority, amount,"
    "                                 expires_at, entry_no, granted_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    {TEXTOID, TEXTOID, INT8OID, TEXTOID, INT4OID, NUMERICOID, TIMESTAMPTZOID, INT8OID,
     TIMESTAMPTZOID}};

pg::Statement select_credit_grant{
    "SELECT g.kind, g.priority, g.expires_at"
    "  FROM purser.credit_grant AS g"
    " WHERE g.account_id OPERATOR(pg_catalog.=) $1 AND g.wallet OPERATOR(pg_catalog.=) $2"
    "   AND g.grant_id OPERATOR(pg_catalog.=) $3",
    {TEXTOID, TEXTOID, INT8OID}};

std::vector<Lot> read_lots(const pg::Row& row, int first_column) {
  const auto ids = pg::read_int8_array(row.datum(first_column));
  const auto kinds = pg::read_text_array(row.datum(first_column + 1));
  const auto priorities = pg::read_int4_array(row.datum(first_column + 2));
  const auto expiries = pg::read_int8_array(row.datum(first_column + 3));
  const auto remaining = pg::read_int8_array(row.datum(first_column + 4));
  const auto held = pg::read_int8_array(row.datum(first_column + 5));
  std::vector<Lot> lots;
  for (std::size_t i = 0; i < ids.size(); ++i)
    lots.push_back({ids.at(i), kinds.at(i), priorities.at(i), expiries.at(i),
                    Amount::from_micros(remaining.at(i)), Amount::from_micros(held.at(i))});
  return lots;
}

std::optional<Wallet> wallet_of(const pg::Rows& rows, std::string_view account_id,
                                std::string_view name) {
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  Wallet wallet;
  wallet.account_id = account_id;
  wallet.name = name;
  wallet.status = stored_status(row.text(0));
  wallet.last_entry_no = row.int8(1);
  wallet.last_grant_id = row.int8(2);
  wallet.balance = Amount::from_micros(row.int8(3));
  wallet.head = row.digest(4);
  wallet.lots = read_lots(row, 5);
  return wallet;
}

template <class Field, class Get>
std::vector<Field> column(const std::vector<Lot>& lots, Get get) {
  std::vector<Field> values;
  values.reserve(lots.size());
  for (const Lot& lot : lots) values.push_back(get(lot));
  return values;
}

}  // namespace

std::optional<Wallet> read_wallet(std::string_view account_id, std::string_view name) {
  return wallet_of(select_wallet.read({pg::text(account_id), pg::text(name)}), account_id, name);
}

std::optional<Wallet> lock_wallet(std::string_view account_id, std::string_view name) {
  return wallet_of(select_wallet_for_update.run({pg::text(account_id), pg::text(name)}), account_id,
                   name);
}

Wallet open_wallet(std::string_view account_id, std::string_view name, Instant now) {
  if (auto wallet = lock_wallet(account_id, name)) return *wallet;
  provision_account(account_id, now);
  insert_wallet.run({pg::text(account_id), pg::text(name), pg::bytea(Digest{})});
  auto wallet = lock_wallet(account_id, name);
  if (!wallet) throw std::logic_error("wallet is gone after it was made");
  return *wallet;
}

void store_wallet(const Wallet& wallet) {
  const auto& lots = wallet.lots;
  update_wallet.run(
      {pg::text(wallet.account_id), pg::text(wallet.name), pg::int8(wallet.last_entry_no),
       pg::int8(wallet.last_grant_id), pg::int8(wallet.balance.micros()), pg::bytea(wallet.head),
       pg::int8_array(column<std::int64_t>(lots, [](const Lot& l) { return l.grant_id; })),
       pg::text_array(column<std::string>(lots, [](const Lot& l) { return l.kind; })),
       pg::int4_array(column<std::int32_t>(lots, [](const Lot& l) { return l.priority; })),
       pg::timestamptz_array(column<Instant>(lots, [](const Lot& l) { return l.expires_at; })),
       pg::int8_array(
           column<std::int64_t>(lots, [](const Lot& l) { return l.remaining.micros(); })),
       pg::int8_array(column<std::int64_t>(lots, [](const Lot& l) { return l.held.micros(); }))});
}

void insert_grant(const Wallet& wallet, const GrantRecord& grant) {
  const Lot& lot = grant.lot;
  insert_credit_grant.run({pg::text(wallet.account_id), pg::text(wallet.name),
                           pg::int8(lot.grant_id), pg::text(lot.kind), pg::int4(lot.priority),
                           pg::numeric(lot.remaining), pg::timestamptz(lot.expires_at),
                           pg::int8(grant.entry_no), pg::timestamptz(grant.granted_at)});
}

Lot grant_template(const Wallet& wallet, std::int64_t grant_id) {
  const pg::Rows rows = select_credit_grant.run(
      {pg::text(wallet.account_id), pg::text(wallet.name), pg::int8(grant_id)});
  if (rows.empty()) throw std::logic_error("no record of grant " + std::to_string(grant_id));
  const pg::Row row = rows[0];
  return {grant_id, row.string(0), row.int4(1), row.timestamptz(2), Amount(), Amount()};
}

}  // namespace purser
