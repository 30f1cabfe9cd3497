// Appends to, reads and verifies the ledger. Entries are only ever appended under the lock of their
// wallet, so numbers have no gap and every hash follows the one before.
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>

#include "core/error.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

pg::Statement insert_ledger_entry{
    "INSERT INTO purser.ledger"
    "       (account_id, wallet, entry_no, direction, reason, amount, balance_after, allocations,"
    "        resource_type, resource_id, resource_title, breakdown, notes, correlation_id,"
    "        refund_of, created_at, effective_at, fingerprint, hash, hold_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,"
    "         $20)"
    " ON CONFLICT (account_id, correlation_id) DO NOTHING",
    {TEXTOID,  TEXTOID,        INT8OID,        TEXTOID,  TEXTOID,  NUMERICOID, NUMERICOID,
     JSONBOID, TEXTOID,        TEXTOID,        TEXTOID,  JSONBOID, TEXTOID,    TEXTOID,
     INT8OID,  TIMESTAMPTZOID, TIMESTAMPTZOID, BYTEAOID, BYTEAOID, TEXTOID}};

// Columns in the order of EntryColumn. Allocations come as three arrays of text, whatever somebody
// made of the document by hand.
#define ALLOCATION_COLUMN(key)                                                  \
  " ARRAY(SELECT coalesce(a.value OPERATOR(pg_catalog.->>) '" key               \
  "', '')"                                                                      \
  "         FROM pg_catalog.jsonb_array_elements("                              \
  "                CASE WHEN pg_catalog.jsonb_typeof(l.allocations)"            \
  "                          OPERATOR(pg_catalog.=) 'array' THEN l.allocations" \
  "                     ELSE '[]'::pg_catalog.jsonb END) AS a)"
#define ENTRY_COLUMNS                                                                      \
  "SELECT l.account_id, l.wallet, l.entry_no, l.direction, l.reason, l.amount,"            \
  "       l.balance_after, l.resource_type, l.resource_id, l.resource_title, l.breakdown," \
  "       l.notes, l.correlation_id, l.refund_of, l.created_at, l.effective_at, l.hash,"   \
  "       l.fingerprint, l.hold_id," ALLOCATION_COLUMN("grant_id") "," ALLOCATION_COLUMN(  \
      "kind") "," ALLOCATION_COLUMN("amount") " FROM purser.ledger AS l"

enum EntryColumn {
  account_id_column,
  wallet_column,
  entry_no_column,
  direction_column,
  reason_column,
  amount_column,
  balance_after_column,
  resource_type_column,
  resource_id_column,
  resource_title_column,
  breakdown_column,
  notes_column,
  correlation_id_column,
  refund_of_column,
  created_at_column,
  effective_at_column,
  hash_column,
  fingerprint_column,
  hold_id_column,
  grant_ids_column,
  kinds_column,
  amounts_column
};

pg::Statement select_by_correlation{
    ENTRY_COLUMNS
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.correlation_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement select_by_number{
    ENTRY_COLUMNS
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.entry_no OPERATOR(pg_catalog.=) $3",
    {TEXTOID, TEXTOID, INT8OID}};

pg::Statement select_next_entries{
    ENTRY_COLUMNS
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.entry_no OPERATOR(pg_catalog.>) $3"
    " ORDER BY l.entry_no LIMIT 1000",
    {TEXTOID, TEXTOID, INT8OID}};

pg::Statement select_refunded{
    "SELECT pg_catalog.sum(l.amount)"
    "  FROM purser.ledger AS l"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.refund_of OPERATOR(pg_catalog.=) $3",
    {TEXTOID, TEXTOID, INT8OID}};

pg::Statement select_grant_records{
    "SELECT g.grant_id, g.kind, g.priority, g.expires_at, g.amount, g.entry_no"
    "  FROM purser.credit_grant AS g"
    " WHERE g.account_id OPERATOR(pg_catalog.=) $1 AND g.wallet OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

// Every wallet there is a trace of, by key, so that a deleted wallet row is noticed too.
pg::Statement select_next_wallets{
    "SELECT k.account_id, k.wallet"
    "  FROM (SELECT account_id, wallet FROM purser.wallet"
    "         UNION SELECT DISTINCT account_id, wallet FROM purser.ledger) AS k"
    " WHERE ($1 IS NULL OR k.account_id OPERATOR(pg_catalog.=) $1)"
    " ORDER BY k.account_id, k.wallet",
    {TEXTOID}};

std::int64_t read_grant_id(const std::string& text) {
  std::int64_t id = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, id).ptr == end && !text.empty()) return id;
  throw Error(sqlstate::invalid_argument, "invalid grant id \"" + text + "\"");
}

std::vector<Allocation> read_allocations(const pg::Row& row) {
  const auto ids = pg::read_text_array(row.datum(grant_ids_column));
  const auto kinds = pg::read_text_array(row.datum(kinds_column));
  const auto amounts = pg::read_text_array(row.datum(amounts_column));
  std::vector<Allocation> allocations;
  for (std::size_t i = 0; i < ids.size(); ++i)
    allocations.push_back({read_grant_id(ids[i]), kinds.at(i), Amount::parse(amounts.at(i))});
  return allocations;
}

LedgerEntry read_entry(const pg::Row& row) {
  LedgerEntry entry;
  entry.account_id = row.string(account_id_column);
  entry.wallet = row.string(wallet_column);
  entry.entry_no = row.int8(entry_no_column);
  entry.direction = row.text(direction_column) == "DEBIT" ? Direction::debit : Direction::credit;
  entry.reason = row.string(reason_column);
  entry.amount = row.numeric(amount_column);
  entry.balance_after = row.numeric(balance_after_column);
  entry.allocations = read_allocations(row);
  entry.resource_type = row.optional_text(resource_type_column);
  entry.resource_id = row.optional_text(resource_id_column);
  entry.resource_title = row.optional_text(resource_title_column);
  entry.breakdown = row.optional_jsonb(breakdown_column);
  entry.notes = row.optional_text(notes_column);
  entry.correlation_id = row.optional_text(correlation_id_column);
  if (!row.is_null(fingerprint_column)) entry.fingerprint = row.digest(fingerprint_column);
  entry.refund_of = row.optional_int8(refund_of_column);
  entry.hold_id = row.optional_text(hold_id_column);
  entry.created_at = row.timestamptz(created_at_column);
  entry.effective_at = row.timestamptz(effective_at_column);
  return entry;
}

}  // namespace

std::string allocations_json(const std::vector<Allocation>& allocations) {
  std::string json = "[";
  for (const Allocation& a : allocations) {
    if (json.size() > 1) json += ",";
    json += "{\"grant_id\":" + std::to_string(a.grant_id) + ",\"kind\":" + pg::json_string(a.kind) +
            ",\"amount\":" + a.amount.to_string() + "}";
  }
  return json + "]";
}

std::string entry_id(const LedgerEntry& entry) {
  return entry.wallet + "/" + std::to_string(entry.entry_no);
}

Amount signed_amount(const LedgerEntry& entry) {
  return entry.direction == Direction::debit ? -entry.amount : entry.amount;
}

void link_entry(Wallet& wallet, LedgerEntry& entry) {
  entry.account_id = wallet.account_id;
  entry.wallet = wallet.name;
  entry.entry_no = wallet.last_entry_no + 1;
  entry.balance_after = wallet.balance + signed_amount(entry);
  wallet.head = chain_hash(wallet.head, entry, pg::sha256);
  wallet.last_entry_no = entry.entry_no;
  wallet.balance = entry.balance_after;
}

namespace {

using EntryValues = std::array<pg::Value, 20>;

// The columns of the table in their order.
EntryValues entry_values(const Wallet& wallet, const LedgerEntry& entry,
                         const pg::Value& allocations) {
  return {pg::text(entry.account_id),
          pg::text(entry.wallet),
          pg::int8(entry.entry_no),
          pg::text(to_string(entry.direction)),
          pg::text(entry.reason),
          pg::numeric(entry.amount),
          pg::numeric(entry.balance_after),
          allocations,
          pg::text_or_null(entry.resource_type),
          pg::text_or_null(entry.resource_id),
          pg::text_or_null(entry.resource_title),
          pg::jsonb_or_null(entry.breakdown),
          pg::text_or_null(entry.notes),
          pg::text_or_null(entry.correlation_id),
          pg::int8(entry.refund_of),
          pg::timestamptz(entry.created_at),
          pg::timestamptz(entry.effective_at),
          entry.fingerprint ? pg::bytea(*entry.fingerprint) : pg::null_value(),
          pg::bytea(wallet.head),
          pg::text_or_null(entry.hold_id)};
}

}  // namespace

void refuse_reused(const std::string& correlation_id) {
  throw Error(sqlstate::idempotency_key_reused,
              "correlation id \"" + correlation_id + "\" was used for another request",
              "Another request with this id was made at the same time.",
              "Use a new correlation id for a new request.");
}

bool insert_entry(const Wallet& wallet, const LedgerEntry& entry) {
  return insert_ledger_entry
             .run(entry_values(wallet, entry, pg::jsonb(allocations_json(entry.allocations))))
             .processed() == 1;
}

bool LedgerInPlace::has_correlation(std::string_view account_id, std::string_view correlation_id) {
  return table_.has_key("ledger_correlation", account_id, correlation_id);
}

void LedgerInPlace::insert(const Wallet& wallet, const LedgerEntry& entry,
                           const pg::Value& allocations) {
  const EntryValues values = entry_values(wallet, entry, allocations);
  try {
    table_.insert(values);
  } catch (const pg::PgError& e) {
    if (e.error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION) throw;
    refuse_reused(*entry.correlation_id);
  }
}

std::optional<LedgerEntry> find_by_correlation(std::string_view account_id,
                                               std::string_view correlation_id) {
  const pg::Rows rows = select_by_correlation.run({pg::text(account_id), pg::text(correlation_id)});
  if (rows.empty()) return std::nullopt;
  return read_entry(rows[0]);
}

std::optional<LedgerEntry> find_entry(std::string_view account_id, std::string_view wallet,
                                      std::int64_t entry_no) {
  const pg::Rows rows =
      select_by_number.run({pg::text(account_id), pg::text(wallet), pg::int8(entry_no)});
  if (rows.empty()) return std::nullopt;
  return read_entry(rows[0]);
}

Amount refunded(const LedgerEntry& charge) {
  const pg::Rows rows = select_refunded.run(
      {pg::text(charge.account_id), pg::text(charge.wallet), pg::int8(charge.entry_no)});
  return rows[0].is_null(0) ? Amount() : rows[0].numeric(0);
}

namespace {

// Walks the chain of one wallet and reports what does not hold.
class ChainVerifier {
 public:
  using Report =
      std::function<void(const std::string& path, const char* rule, std::string message)>;

  ChainVerifier(std::string account_id, std::string wallet, Report report)
      : account_id_(std::move(account_id)),
        wallet_(std::move(wallet)),
        report_(std::move(report)) {}

  void verify() {
    while (verify_batch()) {
    }
    verify_wallet();
  }

 private:
  // False after the last entry. Memory does not grow with the ledger.
  bool verify_batch() {
    pg::ScratchMemory memory;
    pg::Spi spi;
    const pg::Rows rows =
        select_next_entries.read({pg::text(account_id_), pg::text(wallet_), pg::int8(last_no_)});
    for (std::uint64_t i = 0; i < rows.size(); ++i) verify_entry(rows[i]);
    return rows.size() > 0;
  }

  void verify_entry(const pg::Row& row) {
    const std::int64_t entry_no = row.int8(entry_no_column);
    if (entry_no != last_no_ + 1)
      report(entry_no, "entry_missing",
             "entries " + std::to_string(last_no_ + 1) + " to " + std::to_string(entry_no - 1) +
                 " are missing");
    last_no_ = entry_no;
    verify_content(row);
    head_ = row.digest(hash_column);
  }

  void verify_content(const pg::Row& row) {
    LedgerEntry entry;
    try {
      entry = read_entry(row);
    } catch (const Error& unreadable) {
      unreadable_ = true;
      report(last_no_, "entry_unreadable", unreadable.message);
      return;
    }
    if (chain_hash(head_, entry, pg::sha256) != row.digest(hash_column))
      report(last_no_, "hash_mismatch", "the entry, or its place in the chain, was changed");
    if (entry.balance_after != balance_ + signed_amount(entry))
      report(last_no_, "balance_mismatch",
             "balance after is " + entry.balance_after.to_string() + ", expected " +
                 (balance_ + signed_amount(entry)).to_string());
    balance_ = entry.balance_after;
    follow_grants(entry);
  }

  // What the chain says of each grant: how it began, and what is left of it.
  void follow_grants(const LedgerEntry& entry) {
    for (const Allocation& part : entry.allocations) {
      const auto [grant, is_new] = grants_.try_emplace(part.grant_id);
      if (is_new) grant->second = {part.kind, part.amount, entry.entry_no, Amount()};
      grant->second.left += entry.direction == Direction::debit ? -part.amount : part.amount;
    }
  }

  // Lots and grant records against the chain. Says nothing where an entry could not be read.
  void verify_grants(const Wallet& wallet) {
    if (unreadable_) return;
    std::map<std::int64_t, Lot> lots;
    for (const Lot& lot : wallet.lots) lots.emplace(lot.grant_id, lot);
    for (const auto& [id, grant] : grants_) {
      const auto lot = lots.find(id);
      const Amount held = lot == lots.end() ? Amount() : lot->second.remaining + lot->second.held;
      if (held != grant.left)
        report_grant(id, "lots_mismatch",
                     "the wallet holds " + held.to_string() + " of it, its entries leave " +
                         grant.left.to_string());
    }
    for (const auto& [id, lot] : lots)
      if (grants_.find(id) == grants_.end())
        report_grant(id, "lots_mismatch", "the wallet holds a grant that no entry made");
    verify_grant_records(lots);
  }

  void verify_grant_records(const std::map<std::int64_t, Lot>& lots) {
    std::set<std::int64_t> recorded;
    const pg::Rows rows = select_grant_records.read({pg::text(account_id_), pg::text(wallet_)});
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
      const std::int64_t id = rows[i].int8(0);
      recorded.insert(id);
      const auto grant = grants_.find(id);
      const auto lot = lots.find(id);
      const bool as_granted = grant != grants_.end() && rows[i].text(1) == grant->second.kind &&
                              rows[i].numeric(4) == grant->second.amount &&
                              rows[i].int8(5) == grant->second.entry_no;
      const bool as_lot = lot == lots.end() || (rows[i].text(1) == lot->second.kind &&
                                                rows[i].int4(2) == lot->second.priority &&
                                                rows[i].timestamptz(3) == lot->second.expires_at);
      if (!as_granted || !as_lot)
        report_grant(id, "grant_mismatch",
                     "the record of the grant differs from its entry or from its lot");
    }
    for (const auto& [id, grant] : grants_)
      if (recorded.count(id) == 0)
        report_grant(id, "grant_mismatch", "the record of the grant is missing");
  }

  void verify_wallet() {
    const std::optional<Wallet> wallet = read_wallet(account_id_, wallet_);
    const std::string path = account_id_ + "/" + wallet_;
    if (!wallet) {
      report_(path, "wallet_missing", "the wallet row is missing, the ledger has entries");
      return;
    }
    if (wallet->last_entry_no != last_no_)
      report_(path, "head_mismatch",
              "the wallet ends with entry " + std::to_string(wallet->last_entry_no) +
                  ", the ledger with entry " + std::to_string(last_no_));
    else if (wallet->head != head_)
      report_(path, "head_mismatch", "the wallet's hash is not that of its last entry");
    if (wallet->balance != balance_)
      report_(path, "balance_mismatch",
              "the wallet has " + wallet->balance.to_string() + ", its entries sum to " +
                  balance_.to_string());
    Amount lots;
    for (const Lot& lot : wallet->lots) lots += lot.remaining + lot.held;
    if (lots != wallet->balance)
      report_(path, "lots_mismatch",
              "the grants hold " + lots.to_string() + ", the balance is " +
                  wallet->balance.to_string());
    verify_grants(*wallet);
  }

  void report_grant(std::int64_t grant_id, const char* rule, std::string message) {
    report_(account_id_ + "/" + wallet_ + "/grant " + std::to_string(grant_id), rule,
            std::move(message));
  }

  void report(std::int64_t entry_no, const char* rule, std::string message) {
    report_(account_id_ + "/" + wallet_ + "/" + std::to_string(entry_no), rule, std::move(message));
  }

  std::string account_id_, wallet_;
  Report report_;
  std::int64_t last_no_ = 0;
  Digest head_{};
  Amount balance_;
  bool unreadable_ = false;
  struct Grant {
    std::string kind;
    Amount amount;
    std::int64_t entry_no = 0;
    Amount left;
  };
  std::map<std::int64_t, Grant> grants_;  // grows with the wallet's grants, not with its entries
};

}  // namespace

// verify_ledger(account_id) → setof violation; all accounts when NULL
PURSER_FUNCTION(purser_verify_ledger) {
  const auto account_id = pg::Arguments(fcinfo).optional_id(0, "account_id");
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const pg::Rows wallets = select_next_wallets.read({pg::text_or_null(account_id)});
  for (std::uint64_t i = 0; i < wallets.size(); ++i)
    ChainVerifier(wallets[i].string(0), wallets[i].string(1),
                  [&](const std::string& path, const char* rule, const std::string& message) {
                    result.add({pg::text(path), pg::text(rule), pg::text(message)});
                  })
        .verify();
  return 0;
}

}  // namespace purser
