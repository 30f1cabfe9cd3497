// _import_entry: one row of an import becomes one ledger entry, at the instant it belongs to.
//
// Whatever is wrong with a row is found before anything is written, and answered rather than
// raised, so that one bad row does not undo a thousand good ones. Entries of a wallet are imported
// in the order of time: then no balance of the past can turn out negative, and each debit takes
// from the grants that were there. Locks: account FOR SHARE only while a wallet is made, then the
// wallet.
#include <optional>
#include <string>

#include "core/credits.hpp"
#include "core/error.hpp"
#include "core/ledger.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/settlement.hpp"
#include "extension/wallet.hpp"

namespace purser {

namespace {

pg::Statement select_last_effect{
    "SELECT pg_catalog.max(l.effective_at) FROM purser.ledger AS l"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

struct ImportRequest {
  std::string account_id, wallet, correlation_id, kind, reason;
  Amount credits;  // negative for a debit
  std::optional<Instant> at, expires_at;
  std::optional<std::string> resource_type, resource_id, resource_title, breakdown, notes;

  bool is_debit() const { return credits < Amount(); }
  Amount amount() const { return is_debit() ? -credits : credits; }

  Digest fingerprint() const {
    return pg::sha256(Canonical("import/1")
                          .add("wallet", wallet)
                          .add("credits", credits.micros())
                          .add("kind", kind)
                          .add("reason", reason)
                          .add("at", at.value_or(end_of_time))
                          .add("expires_at", expires_at.value_or(end_of_time))
                          .add("resource_type", resource_type)
                          .add("resource_id", resource_id)
                          .add("resource_title", resource_title)
                          .add("breakdown", breakdown)
                          .add("notes", notes)
                          .bytes());
  }
};

ImportRequest read_request(const pg::Arguments& arguments) {
  ImportRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.wallet = arguments.id(1, "wallet");
  request.correlation_id = arguments.id(2, "correlation_id");
  request.credits = arguments.amount(3, "credits");
  if (request.credits.is_zero()) throw Error(sqlstate::invalid_amount, "credits must not be zero");
  request.kind = arguments.id(4, "kind");
  request.reason = arguments.id(5, "reason");
  request.at = arguments.optional_timestamptz(6);
  request.expires_at = arguments.optional_timestamptz(7);
  request.resource_type = arguments.optional_id(8, "resource_type");
  request.resource_id = arguments.optional_id(9, "resource_id");
  if (request.resource_type.has_value() != request.resource_id.has_value())
    throw Error(sqlstate::invalid_argument, "resource_type and resource_id go together");
  request.resource_title = arguments.optional_text(10, "resource_title", longest_text);
  request.breakdown = arguments.optional_jsonb(11, "breakdown");
  request.notes = arguments.optional_text(12, "notes", longest_text);
  return request;
}

int priority_of(const ImportRequest& request) {
  int priority = 0;
  if (!default_priority(request.kind, priority))
    throw Error(sqlstate::invalid_argument, "unknown kind of grant \"" + request.kind + "\"");
  return priority;
}

void require_order(const ImportRequest& request, Instant at, Instant now) {
  if (at > now)
    throw Error(sqlstate::invalid_argument,
                "the entry lies in the future: " + pg::json_timestamptz(at));
  if (request.expires_at && *request.expires_at <= at)
    throw Error(sqlstate::invalid_argument, "the grant would be expired from the beginning");
  const pg::Rows last =
      select_last_effect.run({pg::text(request.account_id), pg::text(request.wallet)});
  if (!last[0].is_null(0) && last[0].timestamptz(0) > at)
    throw Error(sqlstate::invalid_argument, "wallet \"" + request.wallet +
                                                "\" has a later entry, of " +
                                                pg::json_timestamptz(last[0].timestamptz(0)));
}

// As the wallet will be at that instant. Nothing is written for it.
void require_fit(const ImportRequest& request, const Wallet& wallet, Instant at) {
  Wallet then = wallet;
  look_ahead(then, at);
  drop_empty(then.lots);
  if (!request.is_debit())
    require_room(then);
  else if (const Amount balance = spendable(then.lots, at); balance < request.amount())
    throw Error(sqlstate::insufficient_credits, "insufficient credits at that time: balance " +
                                                    balance.to_string() + ", required " +
                                                    request.amount().to_string());
}

// The wallet locked; nullopt when a debit finds none. One that is new has passed the checks
// already.
std::optional<Wallet> lock_or_open(const ImportRequest& request, Instant at, Instant now) {
  std::optional<Wallet> wallet = lock_wallet(request.account_id, request.wallet);
  if (wallet || request.is_debit()) return wallet;
  require_order(request, at, now);
  return open_wallet(request.account_id, request.wallet, now);
}

// The entry made before, or the wallet to write to. Looked up with what the lock waited for.
struct Plan {
  std::optional<Outcome> before;
  std::optional<Wallet> wallet;
};

Plan plan(const ImportRequest& request, Instant at, Instant now) {
  std::optional<Wallet> wallet = lock_or_open(request, at, now);
  if (auto before = earlier(request.account_id, request.correlation_id, request.fingerprint()))
    return {before, std::nullopt};
  if (!wallet)
    throw Error(
        sqlstate::insufficient_credits,
        "insufficient credits at that time: balance 0, required " + request.amount().to_string());
  require_order(request, at, now);
  require_fit(request, *wallet, at);
  return {std::nullopt, wallet};
}

LedgerEntry import_entry(const ImportRequest& request, Instant at, Instant now) {
  LedgerEntry entry;
  entry.direction = request.is_debit() ? Direction::debit : Direction::credit;
  entry.reason = request.reason;
  entry.amount = request.amount();
  entry.resource_type = request.resource_type;
  entry.resource_id = request.resource_id;
  entry.resource_title = request.resource_title;
  entry.breakdown = request.breakdown;
  entry.notes = request.notes;
  entry.correlation_id = request.correlation_id;
  entry.created_at = now;
  entry.effective_at = at;
  return entry;
}

Outcome write(const ImportRequest& request, Wallet& wallet, int priority, Instant at, Instant now) {
  bring_up_to(wallet, at);
  // The plan's allowance begins now, with the next call that is no import: it would bar the way to
  // more of the past.
  if (wallet.allowance.period_end == begin_of_time) wallet.allowance.due = now;
  LedgerEntry entry = import_entry(request, at, now);
  if (request.is_debit()) {
    entry.allocations = debit(wallet.lots, request.amount(), at).value();
    return settle(wallet, std::move(entry), request.fingerprint());
  }
  const Lot lot{
      ++wallet.last_grant_id, request.kind, priority, request.expires_at.value_or(end_of_time),
      request.amount(),       Amount()};
  wallet.lots.push_back(lot);
  sort_in_debit_order(wallet.lots);
  entry.allocations = {{lot.grant_id, lot.kind, lot.remaining}};
  return settle(wallet, std::move(entry), request.fingerprint(), [&](const LedgerEntry& stored) {
    insert_grant(wallet, {lot, stored.entry_no, at});
  });
}

}  // namespace

// _import_entry(account_id, wallet, correlation_id, credits, kind, reason, at, expires_at,
//               resource_type, resource_id, resource_title, breakdown, notes)
PURSER_FUNCTION(purser_import_entry) {
  const Instant now = pg::now();
  std::optional<ImportRequest> request;
  std::optional<Outcome> outcome;
  std::optional<Error> refusal;
  {
    pg::Spi spi;
    Plan planned;
    int priority = 0;
    try {
      request = read_request(pg::Arguments(fcinfo));
      priority = priority_of(*request);
      planned = plan(*request, request->at.value_or(now), now);
    } catch (const Error& error) {
      refusal = error;
    }
    outcome = planned.before;
    if (planned.wallet)
      outcome = write(*request, *planned.wallet, priority, request->at.value_or(now), now);
  }
  if (refusal)
    return pg::composite(fcinfo, {pg::text("rejected"), pg::null_value(), pg::text(refusal->code),
                                  pg::text(refusal->message)});
  return pg::composite(fcinfo,
                       {pg::text(outcome->replayed ? "replayed" : "imported"),
                        pg::text(entry_id(outcome->entry)), pg::null_value(), pg::null_value()});
}

}  // namespace purser
