// Holding for an operation at the prices of the rate card, and settling at what it really took:
// hold_operation, capture_operation.
//
// A hold keeps its estimate: the version of the card, the plan and the modifiers it was priced with
// are those its capture is priced with, whatever was published since. Units are counted when they
// are captured, in the period then running, and free units and tiers are those that are left then;
// so work that failed counts nothing, and no unit is free twice. A price above what is held, for
// more units than estimated or for free units that others took meanwhile, is charged all the same:
// what is missing is held as well, or the capture is refused and the hold stays open. What is free
// as estimated has a hold of 0 credits; what is free in the end makes no ledger entry.
// Locks: as charging an operation does: counter of the operation, then wallet, hold and ledger.
#include <optional>
#include <string>

#include "core/error.hpp"
#include "core/pricing.hpp"
#include "extension/charge.hpp"
#include "extension/credit_hold.hpp"
#include "extension/operation.hpp"
#include "extension/pg/clock.hpp"

namespace purser {

namespace {

// Units that are being worked on: they will have been used before what is held for now.
pg::Statement sum_in_flight{
    "SELECT coalesce(pg_catalog.sum((h.estimate OPERATOR(pg_catalog.->>) 'quantity')"
    "                                 ::pg_catalog.numeric), 0)"
    "  FROM purser.credit_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.state OPERATOR(pg_catalog.=) 'open'"
    "   AND h.expires_at OPERATOR(pg_catalog.>) $3"
    "   AND h.estimate OPERATOR(pg_catalog.->>) 'operation' OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

Amount in_flight(const std::string& account_id, const std::string& operation, Instant now) {
  return sum_in_flight.run({pg::text(account_id), pg::text(operation), pg::timestamptz(now)})[0]
      .numeric(0);
}

// ---- hold ---------------------------------------------------------------------------------------

Digest fingerprint_of(const HoldRequest& request, const PriceRequest& price) {
  return pg::sha256(Canonical("hold_operation/1")
                        .add("wallet", request.wallet)
                        .add("operation", price.operation)
                        .add("quantity", price.quantities[0].micros())
                        .add("modifiers", price.modifiers)
                        .add("resource_type", request.resource_type)
                        .add("resource_id", request.resource_id)
                        .add("resource_title", request.resource_title)
                        .add("notes", request.notes)
                        .bytes());
}

// Prices a request that is new.
void estimate(HoldRequest& request, PriceRequest& price) {
  pg::Spi spi;
  const Instant now = pg::now();
  if (find_hold(request.account_id, request.hold_id)) return;
  const PriceList list = price_list(request.account_id, price, now);
  const Operation& operation = operation_of(*list.published.card, price.operation);
  const Counter counter = locked_counter(request.account_id, operation, list.account, now);
  if (find_hold(request.account_id, request.hold_id)) return;
  const Breakdown breakdown =
      priced(list, price, counter.used + in_flight(request.account_id, price.operation, now));
  request.amount = breakdown.amount;
  request.estimate = stored_json(breakdown);
}

// ---- capture ------------------------------------------------------------------------------------

struct CaptureOperation {
  std::string account_id, hold_id, correlation_id;
  std::optional<Amount> quantity;  // nullopt: as estimated
  std::optional<std::string> modifiers, notes;

  Digest fingerprint() const {
    return pg::sha256(Canonical("capture_operation/1")
                          .add("hold_id", hold_id)
                          .add("quantity", quantity ? quantity->micros() : std::int64_t{-1})
                          .add("modifiers", modifiers)
                          .add("notes", notes)
                          .bytes());
  }
};

Breakdown estimate_of(const Hold& hold) {
  if (hold.estimate)
    if (auto breakdown = read_breakdown(*hold.estimate)) return std::move(*breakdown);
  throw Error(sqlstate::invalid_argument,
              "hold \"" + hold.hold_id + "\" was made for an amount, not for an operation", {},
              "Capture it with purser.capture_credits().");
}

PriceRequest used_request(const CaptureOperation& request, const Breakdown& estimate) {
  PriceRequest used = request_of(estimate);
  if (request.quantity) used.quantities = {*request.quantity};
  if (request.modifiers) used.modifiers = *request.modifiers;
  return used;
}

// The capture as a charge: what an operation that cost nothing is stored and answered as.
ChargeRequest charge_of(const CaptureOperation& request, const Hold& hold) {
  ChargeRequest charge;
  charge.account_id = request.account_id;
  charge.wallet = hold.wallet;
  charge.correlation_id = request.correlation_id;
  charge.reason = hold.reason;
  charge.resource_type = hold.resource_type;
  charge.resource_id = hold.resource_id;
  charge.resource_title = hold.resource_title;
  charge.notes = request.notes;
  return charge;
}

// Units are counted by the periods of the card in force, whichever card prices them: a late capture
// must not begin a period of another length.
const Operation& counted_as(Catalog& cards, const Operation& held, Instant now) {
  const RateCard& in_force = *cards.rate_card(cards.setting("rate_card"), now).card;
  const auto found = in_force.operations.find(held.name);
  return found == in_force.operations.end() ? held : found->second;
}

// The units are priced and counted; `charge` has the breakdown.
Outcome settle_priced(LockedHold& locked, const ChargeRequest& charge, const Digest& fingerprint,
                      Instant now) {
  if (charge.amount.is_zero()) {
    end_hold(locked, "captured", now);
    store_hold(locked.hold, {});
    store(locked.wallet, now);
    return record_free(charge, fingerprint, locked.wallet.balance, now);
  }
  OpenHold& open = open_part(locked);
  const Amount held = total(open.parts);
  if (charge.amount > held) enlarge(locked, open, charge.amount - held, now);
  return settle_capture(
      locked, {charge.amount, true, charge.correlation_id, charge.breakdown, charge.notes},
      fingerprint, now);
}

Outcome capture_operation(const CaptureOperation& request) {
  const Digest fingerprint = request.fingerprint();
  pg::Spi spi;
  const Instant now = pg::now();
  const Hold hold = require_hold(request.account_id, request.hold_id);
  ChargeRequest charge = charge_of(request, hold);
  if (auto outcome = before(charge, fingerprint)) return *outcome;
  const Breakdown estimate = estimate_of(hold);
  const std::shared_ptr<Catalog> cards = catalog();
  const RateCard& card = cards->rate_card_version(estimate.card, estimate.version);
  const Operation& counted = counted_as(*cards, operation_of(card, estimate.operation), now);
  const Counter counter =
      locked_counter(request.account_id, counted, load_account(request.account_id, now), now);
  LockedHold locked = lock_hold(request.account_id, request.hold_id, now);
  if (auto outcome = before(charge, fingerprint)) {
    store(locked.wallet, now);
    return *outcome;
  }
  open_part(locked);
  Breakdown breakdown = price(card, used_request(request, estimate), counter.used);
  breakdown.card = estimate.card;
  breakdown.version = estimate.version;
  charge.amount = breakdown.amount;
  charge.breakdown = stored_json(breakdown);
  count(request.account_id, breakdown, counter);
  return settle_priced(locked, charge, fingerprint, now);
}

}  // namespace

// hold_operation(account_id, operation, quantity, modifiers, ttl, hold_id, resource_type,
//                resource_id, resource_title, wallet, notes) → credit_hold_state
PURSER_FUNCTION(purser_hold_operation) {
  const pg::Arguments arguments(fcinfo);
  HoldRequest request;
  PriceRequest price;
  request.account_id = arguments.id(0, "account_id");
  request.reason = price.operation = arguments.id(1, "operation");
  price.quantities = {arguments.positive_amount(2, "quantity")};
  price.modifiers = arguments.optional_jsonb(3, "modifiers").value_or("{}");
  read_hold_terms(arguments, 4, request);
  request.fingerprint = fingerprint_of(request, price);
  estimate(request, price);
  return hold_credits(fcinfo, request);
}

// capture_operation(account_id, hold_id, quantity, modifiers, correlation_id, notes)
PURSER_FUNCTION(purser_capture_operation) {
  const pg::Arguments arguments(fcinfo);
  CaptureOperation request;
  request.account_id = arguments.id(0, "account_id");
  request.hold_id = arguments.id(1, "hold_id");
  if (!arguments.is_null(2)) request.quantity = arguments.positive_amount(2, "quantity");
  request.modifiers = arguments.optional_jsonb(3, "modifiers");
  request.correlation_id =
      arguments.optional_id(4, "correlation_id").value_or("capture of " + request.hold_id);
  request.notes = arguments.optional_text(5, "notes", longest_text);
  return operation_datum(fcinfo, capture_operation(request));
}

}  // namespace purser
