// Prepaid credits: grant_credits, charge_credits, refund_credits, credit_balance.
//
// Every change loads one wallet under its lock, lets the rules in core plan it, and appends to the
// ledger. The insert of the entry is the claim of its correlation id: when it meets an entry of the
// same id, the first answer is returned and nothing is changed. Locks: account FOR SHARE only while
// a wallet is made, then the wallet; one wallet a call.
#include <charconv>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/credits.hpp"
#include "core/error.hpp"
#include "core/ledger.hpp"
#include "extension/account.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/wallet.hpp"

namespace purser {

namespace {

constexpr std::size_t most_lots = 200;  // live grants of one wallet
constexpr std::size_t longest_text = 4096;
constexpr int most_priority = 100;

pg::Statement sum_until{
    "SELECT pg_catalog.sum(CASE WHEN l.direction OPERATOR(pg_catalog.=) 'CREDIT' THEN l.amount"
    "                           ELSE OPERATOR(pg_catalog.-) l.amount END)"
    "  FROM purser.ledger AS l"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.effective_at OPERATOR(pg_catalog.<=) $3",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

// An entry and whether it had been made before.
struct Outcome {
  LedgerEntry entry;
  bool replayed = false;
  std::optional<pg::Value> allocations;  // as jsonb, where it was made already
};

// The entry made earlier by the same request, if there is one.
std::optional<Outcome> earlier(std::string_view account_id, const std::string& correlation_id,
                               const Digest& fingerprint) {
  const auto stored = find_by_correlation(account_id, correlation_id);
  if (!stored) return std::nullopt;
  if (stored->fingerprint != fingerprint)
    throw Error(sqlstate::idempotency_key_reused,
                "correlation id \"" + correlation_id + "\" was used for another request",
                "It belongs to ledger entry " + entry_id(stored->entry) + ", " +
                    to_string(stored->entry.direction) + " " + stored->entry.amount.to_string() +
                    " for \"" + stored->entry.reason + "\".",
                "Use a new correlation id for a new request.");
  return Outcome{stored->entry, true, std::nullopt};
}

// Writes off what expired since the wallet was last changed: one entry for each lapsed grant, in
// force from the instant it expired.
void write_off_expired(Wallet& wallet, Instant now) {
  for (const Allocation& lapsed : take_expired(wallet.lots, now)) {
    LedgerEntry entry;
    entry.direction = Direction::debit;
    entry.reason = "expired";
    entry.amount = lapsed.amount;
    entry.allocations = {lapsed};
    entry.created_at = now;
    entry.effective_at = grant_template(wallet, lapsed.grant_id).expires_at;
    link_entry(wallet, entry);
    insert_entry(wallet, entry, std::nullopt);
  }
  drop_empty(wallet.lots);
}

bool has_expired(const Wallet& wallet, Instant now) {
  for (const Lot& lot : wallet.lots)
    if (lot.expires_at <= now && lot.remaining.is_positive()) return true;
  return false;
}

void require_room(const Wallet& wallet) {
  if (wallet.lots.size() < most_lots) return;
  throw Error(sqlstate::limit_reached,
              "wallet \"" + wallet.name + "\" of account \"" + wallet.account_id + "\" has " +
                  std::to_string(wallet.lots.size()) + " live grants, at most " +
                  std::to_string(most_lots),
              {}, "Spend or merge small grants before adding another.");
}

// Appends the entry and stores the wallet; returns the earlier entry when its id is taken.
Outcome settle(Wallet& wallet, LedgerEntry entry, const Digest& fingerprint,
               const std::function<void(const LedgerEntry&)>& record = {}) {
  link_entry(wallet, entry);
  if (!insert_entry(wallet, entry, fingerprint))
    return *earlier(wallet.account_id, *entry.correlation_id, fingerprint);
  drop_empty(wallet.lots);
  store_wallet(wallet);
  if (record) record(entry);
  return {std::move(entry), false, std::nullopt};
}

Lot& find_or_add_lot(Wallet& wallet, std::int64_t grant_id) {
  for (Lot& lot : wallet.lots)
    if (lot.grant_id == grant_id) return lot;
  require_room(wallet);
  wallet.lots.push_back(grant_template(wallet, grant_id));
  return wallet.lots.back();
}

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

Outcome grant_credits(const GrantRequest& request) {
  const int priority = grant_priority(request);
  const Digest fingerprint = request.fingerprint();
  pg::Spi spi;
  const Instant now = pg::now();
  if (auto before = earlier(request.account_id, request.correlation_id, fingerprint))
    return *before;
  require_future(request, now);
  Wallet wallet = open_wallet(request.account_id, request.wallet, now);
  if (auto before = earlier(request.account_id, request.correlation_id, fingerprint))
    return *before;
  write_off_expired(wallet, now);
  require_room(wallet);
  const Lot lot{
      ++wallet.last_grant_id, request.kind, priority, request.expires_at.value_or(end_of_time),
      request.amount,         Amount()};
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
    insert_grant(wallet, {lot, stored.entry_no, now});
  });
}

// Charges -----------------------------------------------------------------------------------------

struct ChargeRequest {
  std::string account_id, wallet, correlation_id, reason;
  Amount amount;
  std::optional<std::string> resource_type, resource_id, resource_title, breakdown, notes;

  Digest fingerprint() const {
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
};

[[noreturn]] void refuse_insufficient(const ChargeRequest& request, Amount balance) {
  const Amount shortfall = request.amount - balance;
  throw Error(sqlstate::insufficient_credits,
              "insufficient credits: balance " + balance.to_string() + ", required " +
                  request.amount.to_string() + ", shortfall " + shortfall.to_string(),
              "{\"account_id\": " + pg::json_string(request.account_id) + ", \"wallet\": " +
                  pg::json_string(request.wallet) + ", \"balance\": " + balance.to_string() +
                  ", \"required\": " + request.amount.to_string() +
                  ", \"shortfall\": " + shortfall.to_string() + "}",
              "Grant credits first, or charge at most the balance.");
}

void require_active(const std::string& account_id, AccountStatus status) {
  if (status == AccountStatus::active) return;
  throw Error(sqlstate::account_not_active,
              "account \"" + account_id + "\" is " + to_string(status), {},
              "Only active accounts can be charged; see purser.set_account_status().");
}

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
  if (!wallet || wallet->status != AccountStatus::active || has_expired(*wallet, now))
    return std::nullopt;
  auto allocations = debit(wallet->lots, request.amount, now);
  if (!allocations || has_correlation(request.account_id, request.correlation_id))
    return std::nullopt;
  LedgerEntry entry = charge_entry(request, std::move(*allocations), now);
  link_entry(*wallet, entry);
  drop_empty(wallet->lots);
  if (!row.store(*wallet)) return std::nullopt;
  const pg::Value stored = pg::jsonb(entry_allocations_json(entry));
  insert_entry_in_place(*wallet, entry, stored, fingerprint);
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
    require_active(request.account_id, load_account(request.account_id).status);
    refuse_insufficient(request, Amount());
  }
  if (wallet->status != AccountStatus::active || has_expired(*wallet, now)) {
    if (auto outcome = before()) return *outcome;
    require_active(request.account_id, wallet->status);
    write_off_expired(*wallet, now);
  }
  auto allocations = debit(wallet->lots, request.amount, now);
  if (!allocations) {
    if (auto outcome = before()) return *outcome;
    refuse_insufficient(request, spendable(wallet->lots, now));
  }
  return settle(*wallet, charge_entry(request, std::move(*allocations), now), fingerprint);
}

Outcome charge_credits(const ChargeRequest& request) {
  const Digest fingerprint = request.fingerprint();
  const Instant now = pg::now();
  if (auto outcome = charge_in_place(request, fingerprint, now)) return *outcome;
  return charge_locked(request, fingerprint, now);
}

// Refunds -----------------------------------------------------------------------------------------

struct RefundRequest {
  std::string account_id, wallet, entry_id, correlation_id, reason;
  std::int64_t entry_no = 0;
  std::optional<Amount> amount;  // nullopt: all that is left

  Digest fingerprint() const {
    return pg::sha256(Canonical("refund_credits/1")
                          .add("entry_id", entry_id)
                          .add("amount", amount ? amount->micros() : std::int64_t{-1})
                          .add("reason", reason)
                          .bytes());
  }
};

LedgerEntry charge_to_refund(const RefundRequest& request) {
  const auto charge = find_entry(request.account_id, request.wallet, request.entry_no);
  if (!charge)
    throw Error(
        sqlstate::unknown_name,
        "account \"" + request.account_id + "\" has no ledger entry \"" + request.entry_id + "\"",
        {}, "Pass the entry_id that purser.charge_credits() returned.");
  if (charge->direction != Direction::debit || !charge->correlation_id)
    throw Error(sqlstate::invalid_argument,
                "ledger entry \"" + request.entry_id + "\" is not a charge",
                "It is " + std::string(to_string(charge->direction)) + " " +
                    charge->amount.to_string() + " for \"" + charge->reason + "\".",
                "Only charges can be refunded.");
  return *charge;
}

// What goes back to which grants, taking what earlier refunds gave back into account.
std::vector<Allocation> refund_plan(const RefundRequest& request, const LedgerEntry& charge) {
  const Amount before = refunded(charge);
  const Amount left = charge.amount - before;
  const Amount amount = request.amount.value_or(left);
  if (amount > left || left.is_zero())
    throw Error(sqlstate::refund_exceeds_charge,
                left.is_zero() ? "charge is refunded in full already"
                               : "refund of " + amount.to_string() +
                                     " exceeds what is left of the charge: " + left.to_string(),
                "Entry " + request.entry_id + " charged " + charge.amount.to_string() + ", " +
                    before.to_string() + " of it was refunded before.",
                "Refund at most what is left.");
  const auto earlier_plan = plan_refund(charge.allocations, {}, before);
  return *plan_refund(charge.allocations, *earlier_plan, amount);
}

// Gives one part back to its grant. A grant that expired meanwhile takes nothing back: the part
// becomes a new grant which lives as long as the old one still had to live when it was charged.
Allocation give_back(Wallet& wallet, const Allocation& part, const LedgerEntry& charge,
                     std::int64_t entry_no, Instant now) {
  Lot original = grant_template(wallet, part.grant_id);
  if (original.expires_at > now) {
    find_or_add_lot(wallet, part.grant_id).remaining += part.amount;
    return part;
  }
  require_room(wallet);
  int priority = 0;
  default_priority("refund", priority);
  const Lot lot{++wallet.last_grant_id,
                "refund",
                priority,
                now + (original.expires_at - charge.created_at),
                part.amount,
                Amount()};
  wallet.lots.push_back(lot);
  insert_grant(wallet, {lot, entry_no, now});
  return {lot.grant_id, lot.kind, part.amount};
}

Outcome refund_credits(const RefundRequest& request) {
  const Digest fingerprint = request.fingerprint();
  pg::Spi spi;
  const Instant now = pg::now();
  std::optional<Wallet> wallet = lock_wallet(request.account_id, request.wallet);
  if (auto outcome = earlier(request.account_id, request.correlation_id, fingerprint))
    return *outcome;
  const LedgerEntry charge = charge_to_refund(request);
  if (!wallet)
    throw std::logic_error("wallet \"" + request.wallet + "\" is gone, its ledger is not");
  const std::vector<Allocation> parts = refund_plan(request, charge);
  write_off_expired(*wallet, now);
  LedgerEntry entry;
  entry.direction = Direction::credit;
  entry.reason = request.reason;
  entry.amount = total(parts);
  for (const Allocation& part : parts)
    entry.allocations.push_back(give_back(*wallet, part, charge, wallet->last_entry_no + 1, now));
  sort_in_debit_order(wallet->lots);
  entry.resource_type = charge.resource_type;
  entry.resource_id = charge.resource_id;
  entry.resource_title = charge.resource_title;
  entry.correlation_id = request.correlation_id;
  entry.refund_of = charge.entry_no;
  entry.created_at = entry.effective_at = now;
  return settle(*wallet, std::move(entry), fingerprint);
}

// Splits "credits/12" into the wallet and the number.
void read_entry_id(RefundRequest& request) {
  const std::size_t slash = request.entry_id.rfind('/');
  const char* end = request.entry_id.data() + request.entry_id.size();
  const char* digits = request.entry_id.data() + slash + 1;
  const bool well_formed = slash != std::string::npos && slash > 0 &&
                           std::from_chars(digits, end, request.entry_no).ptr == end &&
                           digits != end;
  if (!well_formed)
    throw Error(sqlstate::unknown_name,
                "\"" + request.entry_id + "\" is not the id of a ledger entry", {},
                "Pass the entry_id that purser.charge_credits() returned, such as credits/12.");
  request.wallet = request.entry_id.substr(0, slash);
}

// Balance -----------------------------------------------------------------------------------------

Amount balance_now(const std::optional<Wallet>& wallet, Instant now) {
  return wallet ? spendable(wallet->lots, now) : Amount();
}

// Replays the ledger up to the instant; lots that had expired by then and are not yet written off
// count as written off.
Amount balance_at(const std::string& account_id, const std::string& name,
                  const std::optional<Wallet>& wallet, Instant at) {
  const pg::Rows rows = sum_until.read({pg::text(account_id), pg::text(name), pg::timestamptz(at)});
  Amount balance = rows[0].is_null(0) ? Amount() : rows[0].numeric(0);
  if (wallet)
    for (const Lot& lot : wallet->lots)
      if (lot.expires_at <= at && lot.expires_at != end_of_time) balance -= lot.remaining;
  return balance;
}

Datum entry_datum(FunctionCallInfo fcinfo, const Outcome& outcome) {
  const LedgerEntry& e = outcome.entry;
  return pg::composite(
      fcinfo, {pg::text(entry_id(e)), pg::text(e.account_id), pg::text(e.wallet),
               pg::text(to_string(e.direction)), pg::text(e.reason), pg::numeric(e.amount),
               pg::numeric(e.balance_after),
               outcome.allocations ? *outcome.allocations : pg::jsonb(entry_allocations_json(e)),
               pg::text_or_null(e.resource_type), pg::text_or_null(e.resource_id),
               pg::jsonb_or_null(e.breakdown), pg::text_or_null(e.correlation_id),
               pg::timestamptz(e.created_at), pg::boolean(outcome.replayed)});
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
  request.resource_type = arguments.optional_id(4, "resource_type");
  request.resource_id = arguments.optional_id(5, "resource_id");
  if (request.resource_type.has_value() != request.resource_id.has_value())
    throw Error(sqlstate::invalid_argument, "resource_type and resource_id go together", {},
                "Pass both, or neither for a charge to the account as a whole.");
  request.resource_title = arguments.optional_text(6, "resource_title", longest_text);
  request.breakdown = arguments.optional_jsonb(7, "breakdown");
  request.wallet = arguments.id(8, "wallet");
  request.notes = arguments.optional_text(9, "notes", longest_text);
  return entry_datum(fcinfo, charge_credits(request));
}

// refund_credits(account_id, entry_id, amount, reason, correlation_id)
PURSER_FUNCTION(purser_refund_credits) {
  const pg::Arguments arguments(fcinfo);
  RefundRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.entry_id = arguments.id(1, "entry_id");
  if (!arguments.is_null(2)) request.amount = arguments.positive_amount(2, "amount");
  request.reason = arguments.id(3, "reason");
  request.correlation_id = arguments.id(4, "correlation_id");
  read_entry_id(request);
  return entry_datum(fcinfo, refund_credits(request));
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
    const auto wallet = read_wallet(account_id, name);
    balance = at ? balance_at(account_id, name, wallet, *at) : balance_now(wallet, pg::now());
  }
  return pg::numeric(balance).datum;
}

}  // namespace purser
