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
#include "extension/credit_hold.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

constexpr std::size_t most_open_holds = 1000;  // of one wallet
constexpr Instant longest_hold = Instant{366} * 86'400 * microseconds_per_second;

pg::Statement select_hold{
    "SELECT h.wallet, h.amount, h.captured, h.state, h.allocations, h.reason, h.resource_type,"
    "       h.resource_id, h.resource_title, h.fingerprint, h.expires_at, h.created_at, h.ended_at,"
    "       h.estimate"
    "  FROM purser.credit_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement insert_hold{
    "INSERT INTO purser.credit_hold"
    "       (account_id, hold_id, wallet, amount, state, allocations, parts, reason,"
    "        resource_type, resource_id, resource_title, notes, fingerprint, expires_at,"
    "        created_at, estimate)"
    " VALUES ($1, $2, $3, $4, 'open', $5, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    " ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, TEXTOID, NUMERICOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
     BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID, JSONBOID}};

pg::Statement enlarge_hold{
    "UPDATE purser.credit_hold"
    "   SET amount = amount OPERATOR(pg_catalog.+) $3, added = $3, allocations = $4, parts = $4"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, NUMERICOID, JSONBOID}};

pg::Statement update_hold{
    "UPDATE purser.credit_hold"
    "   SET captured = $3, state = $4, parts = $5, ended_at = $6"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, NUMERICOID, TEXTOID, JSONBOID, TIMESTAMPTZOID}};

}  // namespace

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
              row.optional_int8(12),
              row.optional_jsonb(13)};
}

Hold require_hold(const std::string& account_id, const std::string& hold_id) {
  if (auto hold = find_hold(account_id, hold_id)) return *hold;
  throw Error(sqlstate::hold_not_open, "hold \"" + hold_id + "\" is not open",
              "Account \"" + account_id + "\" has no hold of credits of this id.",
              "Pass the hold_id that purser.hold_credits() returned.");
}

namespace {

[[noreturn]] void refuse_ended(const Hold& hold) {
  throw Error(sqlstate::hold_not_open, "hold \"" + hold.hold_id + "\" is not open",
              "It is " + hold.state + ", with " + hold.captured.to_string() + " of " +
                  hold.amount.to_string() + " captured.",
              hold.estimate ? "Charge what was used with purser.charge_operation()."
                            : "Charge what was used with purser.charge_credits().");
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

}  // namespace

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

namespace {

Amount held_amount(const Wallet& wallet, const std::string& hold_id) {
  for (const OpenHold& hold : wallet.holds)
    if (hold.hold_id == hold_id) return total(hold.parts);
  return Amount();
}

}  // namespace

void enlarge(LockedHold& locked, OpenHold& open, Amount by, Instant now) {
  auto parts = hold(locked.wallet.lots, by, now);
  if (!parts)
    refuse_insufficient(locked.hold.account_id, locked.hold.wallet, total(open.parts) + by,
                        total(open.parts) + spendable(locked.wallet.lots, now));
  add_parts(open.parts, *parts);
  locked.hold.amount += by;
  locked.hold.allocations = pg::jsonb(allocations_json(open.parts));
  enlarge_hold.run({pg::text(locked.hold.account_id), pg::text(locked.hold.hold_id),
                    pg::numeric(by), locked.hold.allocations});
}

void store_hold(const Hold& hold, const std::vector<Allocation>& parts) {
  update_hold.run({pg::text(hold.account_id), pg::text(hold.hold_id), pg::numeric(hold.captured),
                   pg::text(hold.state), pg::jsonb(allocations_json(parts)),
                   hold.ended_at ? pg::timestamptz(*hold.ended_at) : pg::null_value()});
}

// ---- hold ---------------------------------------------------------------------------------------

namespace {

Digest fingerprint_of(const HoldRequest& request) {
  return pg::sha256(Canonical("hold_credits/1")
                        .add("wallet", request.wallet)
                        .add("amount", request.amount.micros())
                        .add("reason", request.reason)
                        .add("resource_type", request.resource_type)
                        .add("resource_id", request.resource_id)
                        .add("resource_title", request.resource_title)
                        .add("notes", request.notes)
                        .bytes());
}

HoldRequest read_hold_request(const pg::Arguments& arguments) {
  HoldRequest request;
  request.account_id = arguments.id(0, "account_id");
  request.amount = arguments.positive_amount(1, "amount");
  request.reason = arguments.id(2, "reason");
  read_hold_terms(arguments, 3, request);
  request.fingerprint = fingerprint_of(request);
  return request;
}

void require_same(const HoldRequest& request, const Hold& hold) {
  if (hold.fingerprint == request.fingerprint) return;
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
            request.fingerprint,
            now + request.ttl,
            now,
            std::nullopt,
            request.estimate};
  const pg::Rows made =
      insert_hold.run({pg::text(hold.account_id), pg::text(hold.hold_id), pg::text(hold.wallet),
                       pg::numeric(hold.amount), hold.allocations, pg::text(hold.reason),
                       pg::text_or_null(hold.resource_type), pg::text_or_null(hold.resource_id),
                       pg::text_or_null(hold.resource_title), pg::text_or_null(request.notes),
                       pg::bytea(hold.fingerprint), pg::timestamptz(hold.expires_at),
                       pg::timestamptz(now), pg::jsonb_or_null(hold.estimate)});
  if (made.processed() == 1) return hold;
  // Made under another wallet's lock at this moment: a hold of the same id, and not the same.
  const Hold other = require_hold(request.account_id, request.hold_id);
  require_same(request, other);
  return other;
}

// Nothing, for work that is free.
std::vector<Allocation> set_aside(Wallet& wallet, Amount amount, Instant now) {
  if (!amount.is_positive()) return {};
  auto parts = hold(wallet.lots, amount, now);
  if (!parts)
    refuse_insufficient(wallet.account_id, wallet.name, amount, spendable(wallet.lots, now));
  return std::move(*parts);
}

}  // namespace

void read_hold_terms(const pg::Arguments& arguments, int first, HoldRequest& request) {
  request.ttl = arguments.microseconds(first, "ttl");
  request.hold_id = arguments.id(first + 1, "hold_id");
  read_resource(arguments, first + 2, request.resource_type, request.resource_id,
                request.resource_title);
  request.wallet = arguments.id(first + 5, "wallet");
  request.notes = arguments.optional_text(first + 6, "notes", longest_text);
  if (request.ttl <= 0 || request.ttl > longest_hold)
    throw Error(sqlstate::invalid_argument,
                "argument \"ttl\" must be longer than nothing and at most 366 days", {},
                "Hold for as long as the work may take, for example '15 minutes'.");
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
  std::vector<Allocation> parts = set_aside(wallet, request.amount, now);
  const Hold made = made_hold(request, parts, now);
  wallet.holds.push_back({made.hold_id, made.expires_at, std::move(parts)});
  wallet.holds_until = first_expiry(wallet.holds);
  store(wallet, now);
  return hold_datum(fcinfo, made, made.amount, false);
}

// ---- capture and release ------------------------------------------------------------------------

namespace {

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

LedgerEntry capture_entry(const Capture& capture, const Hold& hold, std::vector<Allocation> taken,
                          Instant now) {
  LedgerEntry entry;
  entry.direction = Direction::debit;
  entry.reason = hold.reason;
  entry.amount = total(taken);
  entry.allocations = std::move(taken);
  entry.resource_type = hold.resource_type;
  entry.resource_id = hold.resource_id;
  entry.resource_title = hold.resource_title;
  entry.breakdown = capture.breakdown;
  entry.notes = capture.notes;
  entry.correlation_id = capture.correlation_id;
  entry.hold_id = hold.hold_id;
  entry.created_at = entry.effective_at = now;
  return entry;
}

// A price is more than an amount: what was held for an operation is captured as one.
void require_amount_held(const Hold& hold) {
  if (!hold.estimate) return;
  throw Error(sqlstate::invalid_argument,
              "hold \"" + hold.hold_id + "\" was made for operation \"" + hold.reason + "\"",
              "Its units are counted and priced when it is captured.",
              "Capture it with purser.capture_operation().");
}

Amount amount_to_capture(const CaptureRequest& request, const Hold& hold, const OpenHold& open) {
  const Amount held = total(open.parts);
  const Amount amount = request.amount.value_or(held);
  if (amount > held)
    throw Error(sqlstate::hold_not_open,
                "capture of " + amount.to_string() + " exceeds what is held: " + held.to_string(),
                "Hold \"" + hold.hold_id + "\" was made for " + hold.amount.to_string() + ", " +
                    hold.captured.to_string() + " of it was captured before.",
                "Capture what is held and charge the rest with purser.charge_credits().");
  return amount;
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
  require_amount_held(locked.hold);
  const OpenHold& open = open_part(locked);
  return settle_capture(locked,
                        {amount_to_capture(request, locked.hold, open), request.final,
                         request.correlation_id, request.breakdown, request.notes},
                        fingerprint, now);
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

Outcome settle_capture(LockedHold& locked, const Capture& capture, const Digest& fingerprint,
                       Instant now) {
  OpenHold& open = open_part(locked);
  std::vector<Allocation> taken = take_first(open.parts, capture.amount);
  capture_held(locked.wallet.lots, taken);
  locked.hold.captured += capture.amount;
  std::vector<Allocation> left = open.parts;
  if (capture.final || left.empty()) {
    left.clear();
    end_hold(locked, "captured", now);
  }
  const Hold& hold = locked.hold;
  return settle(locked.wallet, capture_entry(capture, hold, std::move(taken), now), fingerprint,
                [&](const LedgerEntry&) { store_hold(hold, left); });
}

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
