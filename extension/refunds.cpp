// refund_credits: gives a charge back, all or part of it, to the grants it was taken from.
//
// Locks: the wallet, before anything is looked up; one wallet a call.
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/credits.hpp"
#include "core/error.hpp"
#include "core/ledger.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/clock.hpp"
#include "extension/settlement.hpp"

namespace purser {

namespace {

pg::Statement select_held_since{
    "SELECT h.created_at FROM purser.credit_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

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

Lot& find_or_add_lot(Wallet& wallet, std::int64_t grant_id) {
  for (Lot& lot : wallet.lots)
    if (lot.grant_id == grant_id) return lot;
  require_room(wallet);
  wallet.lots.push_back(grant_template(wallet, grant_id));
  return wallet.lots.back();
}

// When the credits of a charge were taken from their grants: what was held first was taken then,
// and its grants may have ended before it was captured.
Instant taken_at(const LedgerEntry& charge) {
  if (!charge.hold_id) return charge.created_at;
  const pg::Rows rows =
      select_held_since.run({pg::text(charge.account_id), pg::text(*charge.hold_id)});
  return rows.empty() ? charge.created_at : rows[0].timestamptz(0);
}

// When a new grant ends that stands for one that is lost: it lives as long as the old one still had
// to live when the credits were taken from it.
Instant lives_on_until(const Lot& lost, const LedgerEntry& charge, Instant now) {
  const Instant taken = taken_at(charge);
  const Instant end = lost.ends_at() > taken ? lost.ends_at() : lost.expires_at;
  return end == end_of_time ? end_of_time : now + (end - taken);
}

// Gives one part back to its grant. A grant that was lost meanwhile takes nothing back: the part
// becomes a new grant.
Allocation give_back(Wallet& wallet, const Allocation& part, const LedgerEntry& charge,
                     std::int64_t entry_no, Instant now) {
  const Lot original = grant_template(wallet, part.grant_id);
  if (!original.is_lost(now)) {
    find_or_add_lot(wallet, part.grant_id).remaining += part.amount;
    return part;
  }
  require_room(wallet);
  int priority = 0;
  default_priority("refund", priority);
  const Lot lot{++wallet.last_grant_id,
                "refund",
                priority,
                lives_on_until(original, charge, now),
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
  bring_up_to(*wallet, now);
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

}  // namespace

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

}  // namespace purser
