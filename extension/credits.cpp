// Prepaid credits: grant_credits, charge_credits, credit_balance.
//
// Every change loads one wallet under its lock, lets the rules in core plan it, and appends to the
// ledger. The insert of the entry is the claim of its correlation id: when it meets an entry of the
// same id, the first answer is returned and nothing is changed. Locks: account FOR SHARE only while
// a wallet is made, then the wallet; one wallet a call.
#include <algorithm>
#include <optional>
#include <string>

#include "core/credits.hpp"
#include "core/error.hpp"
#include "core/ledger.hpp"
#include "core/ratelimit.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/charge.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/clock.hpp"
#include "extension/settlement.hpp"
#include "extension/wallet.hpp"

namespace purser {

namespace {

constexpr int most_priority = 100;

pg::Statement sum_until{
    "SELECT pg_catalog.sum(CASE WHEN l.direction OPERATOR(pg_catalog.=) 'CREDIT' THEN l.amount"
    "                           ELSE OPERATOR(pg_catalog.-) l.amount END)"
    "  FROM purser.ledger AS l"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.effective_at OPERATOR(pg_catalog.<=) $3",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

pg::Statement sum_of_grants_until{
    "SELECT pg_catalog.sum(CASE WHEN l.direction OPERATOR(pg_catalog.=) 'CREDIT' THEN p.amount"
    "                           ELSE OPERATOR(pg_catalog.-) p.amount END)"
    "  FROM purser.ledger AS l,"
    "       pg_catalog.jsonb_to_recordset(l.allocations)"
    "         AS p (grant_id pg_catalog.text, amount pg_catalog.numeric)"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.effective_at OPERATOR(pg_catalog.<=) $3"
    "   AND p.grant_id OPERATOR(pg_catalog.=) ANY ($4)",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTARRAYOID}};

pg::Statement sum_held_at{
    "SELECT pg_catalog.sum(h.amount OPERATOR(pg_catalog.-) h.added OPERATOR(pg_catalog.-) "
    "coalesce(("
    "         SELECT pg_catalog.sum(l.amount) FROM purser.ledger AS l"
    "          WHERE l.account_id OPERATOR(pg_catalog.=) h.account_id"
    "            AND l.hold_id OPERATOR(pg_catalog.=) h.hold_id"
    "            AND l.effective_at OPERATOR(pg_catalog.<=) $3), 0))"
    "  FROM purser.credit_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.wallet OPERATOR(pg_catalog.=) $2"
    "   AND h.created_at OPERATOR(pg_catalog.<=) $3"
    "   AND LEAST(h.ended_at, h.expires_at) OPERATOR(pg_catalog.>) $3",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

// Grants ------------------------------------------------------------------------------------------

struct GrantRequest {
  std::string account_id, wallet, correlation_id;
  Amount amount;
  std::string kind;
  std::optional<Instant> expires_at;
  std::optional<std::int32_t> priority;
  std::optional<std::string> notes;

  Digest fingerprint() const {
    return pg::sha256(Canonical("grant_credits/1")
                          .add("wallet", wallet)
                          .add("amount", amount.micros())
                          .add("kind", kind)
                          .add("expires_at", expires_at.value_or(end_of_time))
                          .add("priority", priority.value_or(-1))
                          .add("notes", notes)
                          .bytes());
  }
};

int grant_priority(const GrantRequest& request) {
  int priority = 0;
  if (!default_priority(request.kind, priority))
    throw Error(sqlstate::invalid_argument, "unknown kind of grant \"" + request.kind + "\"", {},
                "Use monthly, rollover, promotional, refund, adjustment or purchased.");
  if (!request.priority) return priority;
  if (*request.priority < 0 || *request.priority > most_priority)
    throw Error(sqlstate::invalid_argument,
                "priority " + std::to_string(*request.priority) + " is out of range", {},
                "Use 0 (spent first) to 100 (spent last).");
  return *request.priority;
}

void require_future(const GrantRequest& request, Instant now) {
  if (!request.expires_at || *request.expires_at > now) return;
  throw Error(sqlstate::invalid_argument, "the grant would already be expired",
              "Argument \"expires_at\" is not in the future.",
              "Pass a later instant, or NULL for a grant that never expires.");
}

// How many days a grant can still be spent after the end that was announced.
int grace_days(const GrantRequest& request) {
  if (!request.expires_at || *request.expires_at == end_of_time) return 0;
  return std::stoi(std::string(catalog()->setting("expiry_grace_days")));
}

Instant end_of_grant(const GrantRequest& request, int grace) {
  if (!request.expires_at) return end_of_time;
  return *request.expires_at + grace * microseconds_per_day;
}

Outcome grant_credits(const GrantRequest& request) {
  const int priority = grant_priority(request);
  const Digest fingerprint = request.fingerprint();
  pg::Spi spi;
  const Instant now = pg::now();
  if (auto before = earlier(request.account_id, request.correlation_id, fingerprint))
    return *before;
  require_future(request, now);
  Wallet wallet = current_wallet(request.account_id, request.wallet, now);
  if (auto before = earlier(request.account_id, request.correlation_id, fingerprint))
    return *before;
  require_room(wallet);
  const int grace = grace_days(request);
  const Lot lot{++wallet.last_grant_id,       request.kind,   priority,
                end_of_grant(request, grace), request.amount, Amount()};
  wallet.lots.push_back(lot);
  sort_in_debit_order(wallet.lots);
  LedgerEntry entry;
  entry.direction = Direction::credit;
  entry.reason = "grant";
  entry.amount = request.amount;
  entry.allocations = {{lot.grant_id, lot.kind, lot.remaining}};
  entry.notes = request.notes;
  entry.correlation_id = request.correlation_id;
  entry.created_at = entry.effective_at = now;
  return settle(wallet, std::move(entry), fingerprint, [&](const LedgerEntry& stored) {
    insert_grant(wallet, {lot, stored.entry_no, now, grace});
  });
}

// Charges -----------------------------------------------------------------------------------------

LedgerEntry charge_entry(const ChargeRequest& request, std::vector<Allocation> allocations,
                         Instant now) {
  LedgerEntry entry;
  entry.direction = Direction::debit;
  entry.reason = request.reason;
  entry.amount = request.amount;
  entry.allocations = std::move(allocations);
  entry.resource_type = request.resource_type;
  entry.resource_id = request.resource_id;
  entry.resource_title = request.resource_title;
  entry.breakdown = request.breakdown;
  entry.notes = request.notes;
  entry.correlation_id = request.correlation_id;
  entry.created_at = entry.effective_at = now;
  return entry;
}

// The common case, without a lock before the write: the wallet as it stands suffices, the id is
// new, and nobody changes the wallet meanwhile. Had the id been used on this wallet since the
// command's snapshot, the wallet would have changed too; used on another wallet, it is another
// request.
std::optional<Outcome> charge_in_place(const ChargeRequest& request, const Digest& fingerprint,
                                       Instant now) {
  pg::Command command;
  WalletInPlace row;
  std::optional<Wallet> wallet = row.read(request.account_id, request.wallet);
  LedgerInPlace ledger;
  if (!wallet || !ledger.is_open() || wallet->status != AccountStatus::active ||
      wallet->is_due(now))
    return std::nullopt;
  auto allocations = debit(wallet->lots, request.amount, now);
  if (!allocations || has_news(*wallet, now) ||
      ledger.has_correlation(request.account_id, request.correlation_id))
    return std::nullopt;
  LedgerEntry entry = charge_entry(request, std::move(*allocations), now);
  entry.fingerprint = fingerprint;
  link_entry(*wallet, entry);
  drop_empty(wallet->lots);
  if (!row.store(*wallet)) return std::nullopt;
  const pg::Value stored = pg::jsonb(allocations_json(entry.allocations));
  ledger.insert(*wallet, entry, stored);
  return Outcome{std::move(entry), false, stored};
}

// Under the wallet's lock. The id is looked up first only where the charge would be refused or
// expired credits would be written off; otherwise inserting the entry finds out.
Outcome charge_locked(const ChargeRequest& request, const Digest& fingerprint, Instant now) {
  const auto before = [&] {
    return earlier(request.account_id, request.correlation_id, fingerprint);
  };
  pg::Spi spi;
  std::optional<Wallet> wallet = lock_wallet(request.account_id, request.wallet);
  if (!wallet) {
    if (auto outcome = before()) return *outcome;
    require_active(request.account_id, load_account(request.account_id, now).status);
    wallet = current_wallet(request.account_id, request.wallet, now);
  }
  if (wallet->status != AccountStatus::active || wallet->is_due(now)) {
    if (auto outcome = before()) return *outcome;
    require_active(request.account_id, wallet->status);
    bring_up_to(*wallet, now);
  }
  auto allocations = debit(wallet->lots, request.amount, now);
  if (!allocations) {
    if (auto outcome = before()) return *outcome;
    refuse_insufficient(request.account_id, request.wallet, request.amount,
                        spendable(wallet->lots, now));
  }
  return settle(*wallet, charge_entry(request, std::move(*allocations), now), fingerprint);
}

}  // namespace

Digest ChargeRequest::fingerprint() const {
  return pg::sha256(Canonical("charge_credits/1")
                        .add("wallet", wallet)
                        .add("amount", amount.micros())
                        .add("reason", reason)
                        .add("resource_type", resource_type)
                        .add("resource_id", resource_id)
                        .add("resource_title", resource_title)
                        .add("breakdown", breakdown)
                        .add("notes", notes)
                        .bytes());
}

Outcome charge_credits(const ChargeRequest& request, const Digest& fingerprint) {
  const Instant now = pg::now();
  if (auto outcome = charge_in_place(request, fingerprint, now)) return *outcome;
  return charge_locked(request, fingerprint, now);
}

void read_resource(const pg::Arguments& arguments, int first, std::optional<std::string>& type,
                   std::optional<std::string>& id, std::optional<std::string>& title) {
  type = arguments.optional_id(first, "resource_type");
  id = arguments.optional_id(first + 1, "resource_id");
  if (type.has_value() != id.has_value())
    throw Error(sqlstate::invalid_argument, "resource_type and resource_id go together", {},
                "Pass both, or neither for a charge to the account as a whole.");
  title = arguments.optional_text(first + 2, "resource_title", longest_text);
}

void refuse_insufficient(const std::string& account_id, const std::string& wallet, Amount required,
                         Amount balance) {
  const Amount shortfall = required - balance;
  throw Error(sqlstate::insufficient_credits,
              "insufficient credits: balance " + balance.to_string() + ", required " +
                  required.to_string() + ", shortfall " + shortfall.to_string(),
              "{\"account_id\": " + pg::json_string(account_id) + ", \"wallet\": " +
                  pg::json_string(wallet) + ", \"balance\": " + balance.to_string() +
                  ", \"required\": " + required.to_string() +
                  ", \"shortfall\": " + shortfall.to_string() + "}",
              "Grant credits first, or charge at most the balance.");
}

void require_active(const std::string& account_id, AccountStatus status) {
  if (status == AccountStatus::active) return;
  throw Error(sqlstate::account_not_active,
              "account \"" + account_id + "\" is " + to_string(status), {},
              "Only active accounts can be charged; see purser.set_account_status().");
}

namespace {

// Balance -----------------------------------------------------------------------------------------

// Whether the end of the subscription keeps a lot that has not expired from being spent then.
bool is_withdrawn(const Lot& lot, Instant at) {
  return !is_past(lot.expires_at, at) && (lot.is_lost(at) || lot.is_frozen(at));
}

// What the ledger had given to these grants by then. A grant that is frozen can be given a refund,
// so that what is left of it now need not be what was left then.
Amount left_at(const Wallet& wallet, const std::vector<std::string>& grant_ids, Instant at) {
  if (grant_ids.empty()) return Amount();
  const pg::Rows rows =
      sum_of_grants_until.read({pg::text(wallet.account_id), pg::text(wallet.name),
                                pg::timestamptz(at), pg::text_array(grant_ids)});
  return rows[0].is_null(0) ? Amount() : rows[0].numeric(0);
}

// What open holds had set aside then.
Amount held_at(const Wallet& wallet, Instant at) {
  const pg::Rows rows =
      sum_held_at.read({pg::text(wallet.account_id), pg::text(wallet.name), pg::timestamptz(at)});
  return rows[0].is_null(0) ? Amount() : rows[0].numeric(0);
}

// What time had done to the balance by then and nobody has written down yet, or will have done.
// Lapses are told by is_withdrawn(); allowances are foreseen for so long.
constexpr Instant longest_view = Instant{3660} * 86'400 * microseconds_per_second;
Amount unwritten_at(Wallet wallet, Instant at, Instant now) {
  Amount sum;
  for (const TimedEntry& entry : look_ahead(wallet, std::clamp(at, now, now + longest_view))) {
    if (entry.at > at || entry.passing == Passing::lapsed) continue;
    sum += is_credit(entry.passing) ? entry.part.amount : -entry.part.amount;
  }
  if (at > now + longest_view)
    for (const Lot& lot : wallet.lots)
      if (is_past(lot.expires_at, at)) sum -= lot.remaining;
  return sum;
}

// Replays the ledger up to the instant, with what is not written yet, and leaves out what was held
// and what the end of the subscription withdraws.
Amount balance_at(const Wallet& wallet, Instant at, Instant now) {
  const pg::Rows rows =
      sum_until.read({pg::text(wallet.account_id), pg::text(wallet.name), pg::timestamptz(at)});
  Amount balance = rows[0].is_null(0) ? Amount() : rows[0].numeric(0);
  std::vector<std::string> withdrawn;
  for (const Lot& lot : wallet.lots)
    if (is_withdrawn(lot, at)) withdrawn.push_back(std::to_string(lot.grant_id));
  return balance + unwritten_at(wallet, at, now) - left_at(wallet, withdrawn, at) -
         held_at(wallet, at);
}

Amount credit_balance(const std::string& account_id, const std::string& name,
                      const std::optional<Instant>& at) {
  const Instant now = pg::now();
  if (at)
    if (const auto wallet = read_wallet(account_id, name)) return balance_at(*wallet, *at, now);
  if (at && *at < now) return Amount();
  const Instant then = std::min(at.value_or(now), now + longest_view);
  return spendable(wallet_as_of(account_id, name, then).lots, then);
}

}  // namespace

// grant_credits(account_id, amount, kind, correlation_id, expires_at, priority, wallet, notes)
PURSER_FUNCTION(purser_grant_credits) {
  const pg::Arguments arguments(fcinfo);
  GrantRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.amount = arguments.positive_amount(1, "amount");
  request.kind = arguments.id(2, "kind");
  request.correlation_id = arguments.id(3, "correlation_id");
  request.expires_at = arguments.optional_timestamptz(4);
  request.priority = arguments.optional_int4(5);
  request.wallet = arguments.id(6, "wallet");
  request.notes = arguments.optional_text(7, "notes", longest_text);
  return entry_datum(fcinfo, grant_credits(request));
}

// charge_credits(account_id, amount, reason, correlation_id, resource_type, resource_id,
//                resource_title, breakdown, wallet, notes)
PURSER_FUNCTION(purser_charge_credits) {
  const pg::Arguments arguments(fcinfo);
  ChargeRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.amount = arguments.positive_amount(1, "amount");
  request.reason = arguments.id(2, "reason");
  request.correlation_id = arguments.id(3, "correlation_id");
  read_resource(arguments, 4, request.resource_type, request.resource_id, request.resource_title);
  request.breakdown = arguments.optional_jsonb(7, "breakdown");
  request.wallet = arguments.id(8, "wallet");
  request.notes = arguments.optional_text(9, "notes", longest_text);
  return entry_datum(fcinfo, charge_credits(request, request.fingerprint()));
}

// credit_balance(account_id, wallet, at) → numeric
PURSER_FUNCTION(purser_credit_balance) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const std::string name(arguments.id(1, "wallet"));
  const auto at = arguments.optional_timestamptz(2);
  Amount balance;
  {
    pg::Spi spi;
    balance = credit_balance(account_id, name, at);
  }
  return pg::numeric(balance).datum;
}

}  // namespace purser
