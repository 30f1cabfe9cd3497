// Credits set aside for work in flight: hold_credits, capture_credits, release_credits.
//
// A hold takes from the grants a charge would take, and makes no ledger entry. What is captured
// becomes one, and is gone; what is not goes back to its own grants, when the hold is captured for
// good, released, or expires by time. Everything happens under the wallet's lock, so a hold ends
// once, however many try. A hold made while the account was active can be captured when it no
// longer is: the work was done for it.
//
// Locks: account FOR SHARE only while a wallet is made, then the wallet, then the hold, then the
// ledger; one wallet a call.
#include <algorithm>
#include <optional>
#include <string>

#include "core/credits.hpp"
#include "core/error.hpp"
#include "core/ledger.hpp"
#include "extension/account.hpp"
#include "extension/charge.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/settlement.hpp"
#include "extension/wallet.hpp"

namespace purser {

namespace {

constexpr std::size_t most_open_holds = 1000;  // of one wallet
constexpr Instant longest_hold = Instant{366} * 86'400 * microseconds_per_second;

pg::Statement select_hold{
    "SELECT h.wallet, h.amount, h.captured, h.state, h.allocations, h.reason, h.resource_type,"
    "       h.resource_id, h.resource_title, h.fingerprint, h.expires_at, h.created_at, h.ended_at"
    "  FROM purser.credit_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement insert_hold{
    "INSERT INTO purser.credit_hold"
    "       (account_id, hold_id, wallet, amount, state, allocations, parts, reason,"
    "        resource_type, resource_id, resource_title, notes, fingerprint, expires_at,"
    "        created_at)"
    " VALUES ($1, $2, $3, $4, 'open', $5, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, TEXTOID, NUMERICOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
     BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

pg::Statement update_hold{
    "UPDATE purser.credit_hold"
    "   SET captured = $3, state = $4, parts = $5, ended_at = $6"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, NUMERICOID, TEXTOID, JSONBOID, TIMESTAMPTZOID}};

// A hold as its row has it.
struct Hold {
  std::string account_id, hold_id, wallet;
  Amount amount, captured;
  std::string state;
  pg::Value allocations;
  std::string reason;
  std::optional<std::string> resource_type, resource_id, resource_title;
  Digest fingerprint{};
  Instant expires_at = 0, created_at = 0;
  std::optional<Instant> ended_at;

  bool is_open() const { return state == "open"; }
};

std::optional<Hold> find_hold(const std::string& account_id, const std::string& hold_id) {
  const pg::Rows rows = select_hold.run({pg::text(account_id), pg::text(hold_id)});
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  return Hold{account_id,
              hold_id,
              row.string(0),
              row.numeric(1),
              row.numeric(2),
              row.string(3),
              pg::Value{row.datum(4), false},
              row.string(5),
              row.optional_text(6),
              row.optional_text(7),
              row.optional_text(8),
              row.digest(9),
              row.timestamptz(10),
              row.timestamptz(11),
              row.optional_int8(12)};
}

Hold require_hold(const std::string& account_id, const std::string& hold_id) {
  if (auto hold = find_hold(account_id, hold_id)) return *hold;
  throw Error(sqlstate::hold_not_open, "hold \"" + hold_id + "\" is not open",
              "Account \"" + account_id + "\" has no hold of credits of this id.",
              "Pass the hold_id that purser.hold_credits() returned.");
}

[[noreturn]] void refuse_ended(const Hold& hold) {
  throw Error(sqlstate::hold_not_open, "hold \"" + hold.hold_id + "\" is not open",
              "It is " + hold.state + ", with " + hold.captured.to_string() + " of " +
                  hold.amount.to_string() + " captured.",
              "Charge what was used with purser.charge_credits().");
}

// The row of purser.credit_hold_state; `remaining` is what is still held.
Datum hold_datum(FunctionCallInfo fcinfo, const Hold& hold, Amount remaining, bool replayed) {
  return pg::composite(
      fcinfo,
      {pg::text(hold.hold_id), pg::text(hold.account_id), pg::text(hold.wallet),
       pg::text(hold.state), pg::numeric(hold.amount), pg::numeric(hold.captured),
       pg::numeric(remaining), pg::timestamptz(hold.expires_at), hold.allocations,
       pg::text(hold.reason), pg::text_or_null(hold.resource_type),
       pg::text_or_null(hold.resource_id), pg::timestamptz(hold.created_at),
       hold.ended_at ? pg::timestamptz(*hold.ended_at) : pg::null_value(), pg::boolean(replayed)});
}

// A hold under the lock of its wallet, which is up to now and has its open holds loaded.
struct LockedHold {
  Wallet wallet;
  Hold hold;
};

LockedHold lock_hold(const std::string& account_id, const std::string& hold_id, Instant now) {
  const std::string name = require_hold(account_id, hold_id).wallet;
  LockedHold locked{current_wallet(account_id, name, now), {}};
  load_holds(locked.wallet, View::newest);
  locked.hold = require_hold(account_id, hold_id);
  return locked;
}

OpenHold& open_part(LockedHold& locked) {
  const auto found =
      std::find_if(locked.wallet.holds.begin(), locked.wallet.holds.end(),
                   [&](const OpenHold& h) { return h.hold_id == locked.hold.hold_id; });
  if (found == locked.wallet.holds.end()) refuse_ended(locked.hold);
  return *found;
}

void end_hold(LockedHold& locked, const char* state, Instant now) {
  give_back(locked.wallet, locked.hold.hold_id, now);
  locked.hold.state = state;
  locked.hold.ended_at = now;
}

Amount held_amount(const Wallet& wallet, const std::string& hold_id) {
  for (const OpenHold& hold : wallet.holds)
    if (hold.hold_id == hold_id) return total(hold.parts);
  return Amount();
}

void store_hold(const Hold& hold, const std::vector<Allocation>& parts) {
  update_hold.run({pg::text(hold.account_id), pg::text(hold.hold_id), pg::numeric(hold.captured),
                   pg::text(hold.state), pg::jsonb(allocations_json(parts)),
                   hold.ended_at ? pg::timestamptz(*hold.ended_at) : pg::null_value()});
}

// ---- hold ---------------------------------------------------------------------------------------

struct HoldRequest {
  std::string account_id, wallet, hold_id, reason;
  Amount amount;
  Instant ttl = 0;
  std::optional<std::string> resource_type, resource_id, resource_title, notes;

  Digest fingerprint() const {
    return pg::sha256(Canonical("hold_credits/1")
                          .add("wallet", wallet)
                          .add("amount", amount.micros())
                          .add("reason", reason)
                          .add("resource_type", resource_type)
                          .add("resource_id", resource_id)
                          .add("resource_title", resource_title)
                          .add("notes", notes)
                          .bytes());
  }
};

HoldRequest read_hold_request(const pg::Arguments& arguments) {
  HoldRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.amount = arguments.positive_amount(1, "amount");
  request.reason = arguments.id(2, "reason");
  request.ttl = arguments.microseconds(3, "ttl");
  request.hold_id = arguments.id(4, "hold_id");
  read_resource(arguments, 5, request.resource_type, request.resource_id, request.resource_title);
  request.wallet = arguments.id(8, "wallet");
  request.notes = arguments.optional_text(9, "notes", longest_text);
  if (request.ttl <= 0 || request.ttl > longest_hold)
    throw Error(sqlstate::invalid_argument,
                "argument \"ttl\" must be longer than nothing and at most 366 days", {},
                "Hold for as long as the work may take, for example '15 minutes'.");
  return request;
}

void require_same(const HoldRequest& request, const Hold& hold) {
  if (hold.fingerprint == request.fingerprint()) return;
  throw Error(sqlstate::idempotency_key_reused,
              "hold \"" + request.hold_id + "\" was made for another request",
              "It holds " + hold.amount.to_string() + " for \"" + hold.reason + "\".",
              "Use a new hold_id for a new hold.");
}

void require_few_holds(const Wallet& wallet) {
  if (wallet.holds.size() < most_open_holds) return;
  throw Error(sqlstate::limit_reached,
              "wallet \"" + wallet.name + "\" of account \"" + wallet.account_id + "\" has " +
                  std::to_string(wallet.holds.size()) + " open holds, at most " +
                  std::to_string(most_open_holds),
              {}, "Capture or release holds, or let them expire sooner.");
}

Hold made_hold(const HoldRequest& request, const std::vector<Allocation>& parts, Instant now) {
  Hold hold{request.account_id,
            request.hold_id,
            request.wallet,
            request.amount,
            Amount(),
            "open",
            pg::jsonb(allocations_json(parts)),
            request.reason,
            request.resource_type,
            request.resource_id,
            request.resource_title,
            request.fingerprint(),
            now + request.ttl,
            now,
            std::nullopt};
  const pg::Rows made = insert_hold.run(
      {pg::text(hold.account_id), pg::text(hold.hold_id), pg::text(hold.wallet),
       pg::numeric(hold.amount), hold.allocations, pg::text(hold.reason),
       pg::text_or_null(hold.resource_type), pg::text_or_null(hold.resource_id),
       pg::text_or_null(hold.resource_title), pg::text_or_null(request.notes),
       pg::bytea(hold.fingerprint), pg::timestamptz(hold.expires_at), pg::timestamptz(now)});
  if (made.processed() == 1) return hold;
  // Made under another wallet's lock at this moment: a hold of the same id, and not the same.
  const Hold other = require_hold(request.account_id, request.hold_id);
  require_same(request, other);
  return other;
}

Datum hold_credits(FunctionCallInfo fcinfo, const HoldRequest& request) {
  pg::Spi spi;
  const Instant now = pg::now();
  Wallet wallet = current_wallet(request.account_id, request.wallet, now);
  load_holds(wallet, View::newest);
  if (const auto made = find_hold(request.account_id, request.hold_id)) {
    require_same(request, *made);
    store(wallet, now);  // what time did is written down already
    return hold_datum(fcinfo, *made, held_amount(wallet, made->hold_id), true);
  }
  require_active(request.account_id, wallet.status);
  require_few_holds(wallet);
  auto parts = hold(wallet.lots, request.amount, now);
  if (!parts)
    refuse_insufficient(request.account_id, request.wallet, request.amount,
                        spendable(wallet.lots, now));
  const Hold made = made_hold(request, *parts, now);
  wallet.holds.push_back({made.hold_id, made.expires_at, std::move(*parts)});
  wallet.holds_until = first_expiry(wallet.holds);
  store(wallet, now);
  return hold_datum(fcinfo, made, made.amount, false);
}

// ---- capture and release ------------------------------------------------------------------------

struct CaptureRequest {
  std::string account_id, hold_id, correlation_id;
  std::optional<Amount> amount;  // nullopt: all that is still held
  bool final = true;
  std::optional<std::string> breakdown, notes;

  Digest fingerprint() const {
    return pg::sha256(Canonical("capture_credits/1")
                          .add("hold_id", hold_id)
                          .add("amount", amount ? amount->micros() : std::int64_t{-1})
                          .add("final", std::int64_t{final})
                          .add("breakdown", breakdown)
                          .add("notes", notes)
                          .bytes());
  }
};

LedgerEntry capture_entry(const CaptureRequest& request, const Hold& hold,
                          std::vector<Allocation> taken, Instant now) {
  LedgerEntry entry;
  entry.direction = Direction::debit;
  entry.reason = hold.reason;
  entry.amount = total(taken);
  entry.allocations = std::move(taken);
  entry.resource_type = hold.resource_type;
  entry.resource_id = hold.resource_id;
  entry.resource_title = hold.resource_title;
  entry.breakdown = request.breakdown;
  entry.notes = request.notes;
  entry.correlation_id = request.correlation_id;
  entry.hold_id = hold.hold_id;
  entry.created_at = entry.effective_at = now;
  return entry;
}

std::vector<Allocation> capture_parts(const CaptureRequest& request, const Hold& hold,
                                      OpenHold& open) {
  const Amount held = total(open.parts);
  const Amount amount = request.amount.value_or(held);
  if (amount > held)
    throw Error(sqlstate::hold_not_open,
                "capture of " + amount.to_string() + " exceeds what is held: " + held.to_string(),
                "Hold \"" + hold.hold_id + "\" was made for " + hold.amount.to_string() + ", " +
                    hold.captured.to_string() + " of it was captured before.",
                "Capture what is held and charge the rest with purser.charge_credits().");
  return take_first(open.parts, amount);
}

Outcome capture_credits(const CaptureRequest& request) {
  const Digest fingerprint = request.fingerprint();
  pg::Spi spi;
  const Instant now = pg::now();
  LockedHold locked = lock_hold(request.account_id, request.hold_id, now);
  if (auto outcome = earlier(request.account_id, request.correlation_id, fingerprint)) {
    store(locked.wallet, now);
    return *outcome;
  }
  OpenHold& open = open_part(locked);
  std::vector<Allocation> taken = capture_parts(request, locked.hold, open);
  capture_held(locked.wallet.lots, taken);
  locked.hold.captured += total(taken);
  std::vector<Allocation> left = open.parts;
  if (request.final || left.empty()) {
    left.clear();
    end_hold(locked, "captured", now);
  }
  LedgerEntry entry = capture_entry(request, locked.hold, std::move(taken), now);
  const Hold& hold = locked.hold;
  return settle(locked.wallet, std::move(entry), fingerprint,
                [&](const LedgerEntry&) { store_hold(hold, left); });
}

Datum release_credits(FunctionCallInfo fcinfo, const std::string& account_id,
                      const std::string& hold_id) {
  pg::Spi spi;
  const Instant now = pg::now();
  LockedHold locked = lock_hold(account_id, hold_id, now);
  const bool replayed = locked.hold.state == "released";
  if (!replayed) {
    if (!locked.hold.is_open()) refuse_ended(locked.hold);
    end_hold(locked, "released", now);
    store_hold(locked.hold, {});
  }
  store(locked.wallet, now);
  return hold_datum(fcinfo, locked.hold, Amount(), replayed);
}

}  // namespace

// hold_credits(account_id, amount, reason, ttl, hold_id, resource_type, resource_id,
//              resource_title, wallet, notes) → credit_hold_state
PURSER_FUNCTION(purser_hold_credits) {
  const pg::Arguments arguments(fcinfo);
  return hold_credits(fcinfo, read_hold_request(arguments));
}

// capture_credits(account_id, hold_id, amount, correlation_id, final, breakdown, notes)
PURSER_FUNCTION(purser_capture_credits) {
  const pg::Arguments arguments(fcinfo);
  CaptureRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.hold_id = arguments.id(1, "hold_id");
  if (!arguments.is_null(2)) request.amount = arguments.positive_amount(2, "amount");
  request.correlation_id =
      arguments.optional_id(3, "correlation_id").value_or("capture of " + request.hold_id);
  request.final = arguments.flag(4, "final");
  request.breakdown = arguments.optional_jsonb(5, "breakdown");
  request.notes = arguments.optional_text(6, "notes", longest_text);
  return entry_datum(fcinfo, capture_credits(request));
}

// release_credits(account_id, hold_id) → credit_hold_state
PURSER_FUNCTION(purser_release_credits) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  return release_credits(fcinfo, account_id, std::string(arguments.id(1, "hold_id")));
}

}  // namespace purser
