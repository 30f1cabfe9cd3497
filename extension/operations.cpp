// Operations at the prices of the rate card: charge_operation, estimate_cost, what past operations
// would cost, and what a breakdown comes to.
//
// A retry is recognized by what was asked, before anything is priced: after a new rate card it
// still returns the first answer. An operation that costs nothing makes no ledger entry; its
// correlation id is claimed in free_operation instead. Every operation passes through its counter,
// so that copies of one request wait for each other there, whichever table their answer ends up in.
// Locks: account (made at the first use), counter of the operation, then as a charge does: wallet.
#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "core/pricing.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/charge.hpp"
#include "extension/ledger.hpp"
#include "extension/operation.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

constexpr std::size_t most_quantities = 1000;  // of one batch

pg::Statement insert_counter{
    "INSERT INTO purser.operation_usage (account_id, operation, period_start, period_end, used)"
    " VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

#define SELECT_COUNTER                                                     \
  "SELECT period_start, period_end, used FROM purser.operation_usage AS u" \
  " WHERE u.account_id OPERATOR(pg_catalog.=) $1 AND u.operation OPERATOR(pg_catalog.=) $2"

pg::Statement read_counter{SELECT_COUNTER, {TEXTOID, TEXTOID}};

pg::Statement lock_counter{SELECT_COUNTER " FOR NO KEY UPDATE", {TEXTOID, TEXTOID}};

pg::Statement update_counter{
    "UPDATE purser.operation_usage AS u SET period_start = $3, period_end = $4, used = $5"
    " WHERE u.account_id OPERATOR(pg_catalog.=) $1 AND u.operation OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, NUMERICOID}};

pg::Statement select_free{
    "SELECT wallet, operation, balance_after, resource_type, resource_id, breakdown, created_at,"
    "       fingerprint"
    "  FROM purser.free_operation AS f"
    " WHERE f.account_id OPERATOR(pg_catalog.=) $1 AND f.correlation_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement insert_free{
    "INSERT INTO purser.free_operation (account_id, correlation_id, fingerprint, wallet, operation,"
    "   balance_after, resource_type, resource_id, resource_title, breakdown, notes, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, BYTEAOID, TEXTOID, TEXTOID, NUMERICOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID,
     TEXTOID, TIMESTAMPTZOID}};

// Accounts with operations between two instants, and the operations of one, in order of time.
pg::Statement select_accounts{
    "SELECT l.account_id FROM purser.ledger AS l"
    " WHERE l.created_at OPERATOR(pg_catalog.>=) $1 AND l.created_at OPERATOR(pg_catalog.<) $2"
    "   AND l.breakdown OPERATOR(pg_catalog.?) 'rate_card'"
    "   AND ($3 IS NULL OR l.account_id OPERATOR(pg_catalog.=) $3)"
    " UNION"
    " SELECT f.account_id FROM purser.free_operation AS f"
    " WHERE f.created_at OPERATOR(pg_catalog.>=) $1 AND f.created_at OPERATOR(pg_catalog.<) $2"
    "   AND ($3 IS NULL OR f.account_id OPERATOR(pg_catalog.=) $3)",
    {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID}};

pg::Statement select_operations{
    "SELECT l.breakdown, l.created_at, l.entry_no FROM purser.ledger AS l"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $3"
    "   AND l.created_at OPERATOR(pg_catalog.>=) $1 AND l.created_at OPERATOR(pg_catalog.<) $2"
    "   AND l.direction OPERATOR(pg_catalog.=) 'DEBIT'"
    "   AND l.breakdown OPERATOR(pg_catalog.?) 'rate_card'"
    " UNION ALL"
    " SELECT f.breakdown, f.created_at, 0 FROM purser.free_operation AS f"
    " WHERE f.account_id OPERATOR(pg_catalog.=) $3"
    "   AND f.created_at OPERATOR(pg_catalog.>=) $1 AND f.created_at OPERATOR(pg_catalog.<) $2"
    " ORDER BY 2, 3",
    {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID}};

struct OperationRequest {
  ChargeRequest charge;  // amount, reason and breakdown follow from the price
  PriceRequest price;

  Digest fingerprint() const {
    Canonical canonical("charge_operation/1");
    canonical.add("wallet", charge.wallet).add("operation", price.operation);
    for (const Amount quantity : price.quantities) canonical.add("quantity", quantity.micros());
    return pg::sha256(canonical.add("modifiers", price.modifiers)
                          .add("resource_type", charge.resource_type)
                          .add("resource_id", charge.resource_id)
                          .add("resource_title", charge.resource_title)
                          .add("notes", charge.notes)
                          .bytes());
  }
};

// ---- pricing ------------------------------------------------------------------------------------

}  // namespace

PriceList price_list(const std::string& account_id, PriceRequest& request, Instant now) {
  PriceList list{catalog(), {}, {}};
  list.published = list.catalog->rate_card(list.catalog->setting("rate_card"), now);
  list.account = load_account(account_id, now);
  request.plan = list.account.plan.value_or(std::string(list.catalog->setting("default_plan")));
  return list;
}

namespace {

// Calendar periods on the account's wall clock; months where the card names none.
Period period_of(const Operation& operation, const Account& account, Instant at) {
  return period_at(calendar(operation.period.value_or(Interval::month)), at,
                   pg::zone(account.time_zone));
}

// A counter never moves back to a period that is over.
Counter counter_at(const pg::Rows& rows, const Period& period, Instant now) {
  if (rows.empty()) return {period, Amount()};
  const Period stored{rows[0].timestamptz(0), rows[0].timestamptz(1), 0};
  const bool same = stored.start == period.start && stored.end == period.end;
  if (!same && stored.start <= now) return {period, Amount()};
  return {stored, rows[0].numeric(2)};
}

}  // namespace

Breakdown priced(const PriceList& list, const PriceRequest& request, Amount used) {
  Breakdown breakdown = price(*list.published.card, request, used);
  breakdown.card = list.published.card->name;
  breakdown.version = list.published.version;
  return breakdown;
}

// ---- charging -----------------------------------------------------------------------------------

namespace {

// An operation that cost nothing, in the form of an entry; it has no number.
Outcome free_outcome(const ChargeRequest& charge, Amount balance, Instant at, bool replayed) {
  Outcome outcome;
  outcome.entry.account_id = charge.account_id;
  outcome.entry.wallet = charge.wallet;
  outcome.entry.direction = Direction::debit;
  outcome.entry.reason = charge.reason;
  outcome.entry.balance_after = balance;
  outcome.entry.resource_type = charge.resource_type;
  outcome.entry.resource_id = charge.resource_id;
  outcome.entry.breakdown = charge.breakdown;
  outcome.entry.correlation_id = charge.correlation_id;
  outcome.entry.created_at = at;
  outcome.replayed = replayed;
  return outcome;
}

std::optional<Outcome> earlier_free(const ChargeRequest& request, const Digest& fingerprint) {
  const pg::Rows rows =
      select_free.run({pg::text(request.account_id), pg::text(request.correlation_id)});
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  if (row.digest(7) != fingerprint)
    throw Error(sqlstate::idempotency_key_reused,
                "correlation id \"" + request.correlation_id + "\" was used for another request",
                "It belongs to operation \"" + row.string(1) + "\", which cost nothing.",
                "Use a new correlation id for a new request.");
  ChargeRequest first = request;
  first.wallet = row.string(0);
  first.reason = row.string(1);
  first.resource_type = row.optional_text(3);
  first.resource_id = row.optional_text(4);
  first.breakdown = row.jsonb(5);
  return free_outcome(first, row.numeric(2), row.timestamptz(6), true);
}

}  // namespace

std::optional<Outcome> before(const ChargeRequest& request, const Digest& fingerprint) {
  if (auto outcome = earlier(request.account_id, request.correlation_id, fingerprint))
    return outcome;
  return earlier_free(request, fingerprint);
}

Outcome record_free(const ChargeRequest& request, const Digest& fingerprint, Amount balance,
                    Instant now) {
  const pg::Rows claimed = insert_free.run(
      {pg::text(request.account_id), pg::text(request.correlation_id), pg::bytea(fingerprint),
       pg::text(request.wallet), pg::text(request.reason), pg::numeric(balance),
       pg::text_or_null(request.resource_type), pg::text_or_null(request.resource_id),
       pg::text_or_null(request.resource_title), pg::jsonb_or_null(request.breakdown),
       pg::text_or_null(request.notes), pg::timestamptz(now)});
  // Copies of one request wait at the counter, so this is another request.
  if (claimed.processed() == 0) refuse_reused(request.correlation_id);
  return free_outcome(request, balance, now, false);
}

Counter locked_counter(const std::string& account_id, const Operation& operation,
                       const Account& account, Instant now) {
  if (account.since == end_of_time) provision_account(account_id, now);
  const Period period = period_of(operation, account, now);
  insert_counter.run({pg::text(account_id), pg::text(operation.name), pg::timestamptz(period.start),
                      pg::timestamptz(period.end)});
  const pg::Rows rows = lock_counter.run({pg::text(account_id), pg::text(operation.name)});
  if (rows.empty())  // made by a transaction that this one's snapshot does not see
    throw Error(sqlstate::serialization_failure, "could not serialize access to the counter", {},
                "Repeat the transaction.");
  return counter_at(rows, period, now);
}

void count(const std::string& account_id, const Breakdown& breakdown, Counter counter) {
  counter.used += breakdown.quantity;
  update_counter.run({pg::text(account_id), pg::text(breakdown.operation),
                      pg::timestamptz(counter.period.start), pg::timestamptz(counter.period.end),
                      pg::numeric(counter.used)});
}

// As it is stored, because that is what the ledger's chain hashes.
std::string stored_json(const Breakdown& breakdown) {
  return pg::read_jsonb(pg::jsonb(to_json(breakdown)).datum);
}

namespace {

// Everything before the wallet: the answer, when there is one already or the price is 0.
std::optional<Outcome> prepare(OperationRequest& request, const Digest& fingerprint, Instant now) {
  ChargeRequest& charge = request.charge;
  pg::Spi spi;
  if (auto outcome = before(charge, fingerprint)) return outcome;
  const PriceList list = price_list(charge.account_id, request.price, now);
  const Operation& operation = operation_of(*list.published.card, request.price.operation);
  const Counter counter = locked_counter(charge.account_id, operation, list.account, now);
  if (auto outcome = before(charge, fingerprint)) return outcome;
  require_active(charge.account_id, list.account.status);
  const Breakdown breakdown = priced(list, request.price, counter.used);
  charge.amount = breakdown.amount;
  charge.breakdown = stored_json(breakdown);
  count(charge.account_id, breakdown, counter);
  if (breakdown.amount.is_positive()) return std::nullopt;
  const std::optional<Wallet> wallet = read_wallet(charge.account_id, charge.wallet);
  return record_free(charge, fingerprint, wallet ? wallet->balance : Amount(), now);
}

Outcome charge_operation(OperationRequest& request) {
  const Digest fingerprint = request.fingerprint();
  const Instant now = pg::now();
  if (auto outcome = prepare(request, fingerprint, now)) return *outcome;
  return charge_credits(request.charge, fingerprint);
}

}  // namespace

Datum operation_datum(FunctionCallInfo fcinfo, const Outcome& outcome) {
  if (outcome.entry.entry_no != 0) return entry_datum(fcinfo, outcome);
  const LedgerEntry& e = outcome.entry;
  return pg::composite(
      fcinfo, {pg::null_value(), pg::text(e.account_id), pg::text(e.wallet),
               pg::text(to_string(e.direction)), pg::text(e.reason), pg::numeric(e.amount),
               pg::numeric(e.balance_after), pg::jsonb("[]"), pg::text_or_null(e.resource_type),
               pg::text_or_null(e.resource_id), pg::jsonb_or_null(e.breakdown),
               pg::text_or_null(e.correlation_id), pg::timestamptz(e.created_at),
               pg::boolean(outcome.replayed)});
}

// ---- arguments ----------------------------------------------------------------------------------

namespace {

void require_quantities(const std::vector<Amount>& quantities) {
  if (!quantities.empty() && quantities.size() <= most_quantities) {
    for (const Amount quantity : quantities) require_positive(quantity, "quantity");
    return;
  }
  throw Error(sqlstate::invalid_argument,
              "a batch has 1 to " + std::to_string(most_quantities) + " quantities, not " +
                  std::to_string(quantities.size()),
              {}, "Pass the quantity of each call.");
}

PriceRequest price_request(const pg::Arguments& arguments, bool batch, int modifiers) {
  PriceRequest request;
  request.operation = arguments.id(1, "operation");
  if (batch)
    request.quantities = arguments.amounts(2, "quantities");
  else
    request.quantities = {arguments.positive_amount(2, "quantity")};
  require_quantities(request.quantities);
  request.modifiers = arguments.optional_jsonb(modifiers, "modifiers").value_or("{}");
  return request;
}

// (account_id, operation, quantity or quantities, correlation_id, modifiers, resource_type,
//  resource_id, resource_title, wallet, notes)
Datum charge_operation_call(FunctionCallInfo fcinfo, bool batch) {
  const pg::Arguments arguments(fcinfo);
  OperationRequest request;
  request.charge.account_id = arguments.id(0, "account_id");
  request.price = price_request(arguments, batch, 4);
  request.charge.reason = request.price.operation;
  request.charge.correlation_id = arguments.id(3, "correlation_id");
  read_resource(arguments, 5, request.charge.resource_type, request.charge.resource_id,
                request.charge.resource_title);
  request.charge.wallet = arguments.id(8, "wallet");
  request.charge.notes = arguments.optional_text(9, "notes", longest_text);
  return operation_datum(fcinfo, charge_operation(request));
}

// ---- estimates ----------------------------------------------------------------------------------

std::string estimate(const std::string& account_id, const std::string& wallet_name,
                     PriceRequest& request) {
  const Instant now = pg::now();
  pg::Spi spi;
  const PriceList list = price_list(account_id, request, now);
  const Operation& operation = operation_of(*list.published.card, request.operation);
  const Counter counter =
      counter_at(read_counter.read({pg::text(account_id), pg::text(operation.name)}),
                 period_of(operation, list.account, now), now);
  const Breakdown breakdown = priced(list, request, counter.used);
  Wallet wallet = wallet_as_of(account_id, wallet_name, now);
  const Amount balance = spendable(wallet.lots, now);
  std::vector<Allocation> allocations;
  const bool enough = breakdown.amount <= balance;
  if (enough && breakdown.amount.is_positive())
    allocations = *debit(wallet.lots, breakdown.amount, now);
  const bool active = list.account.status == AccountStatus::active;
  return "{\"operation\": " + pg::json_string(request.operation) +
         ", \"wallet\": " + pg::json_string(wallet_name) +
         ", \"amount\": " + breakdown.amount.to_string() + ", \"balance\": " + balance.to_string() +
         ", \"affordable\": " + (enough && active ? "true" : "false") +
         ", \"shortfall\": " + (enough ? Amount() : breakdown.amount - balance).to_string() +
         ", \"allocations\": " + allocations_json(allocations) +
         ", \"breakdown\": " + to_json(breakdown) + "}";
}

Datum estimate_call(FunctionCallInfo fcinfo, bool batch) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  PriceRequest request = price_request(arguments, batch, 3);
  const std::string wallet(arguments.id(4, "wallet"));
  return pg::jsonb(estimate(account_id, wallet, request)).datum;
}

// ---- replay -------------------------------------------------------------------------------------

// What operations cost, and what they would have.
struct Comparison {
  std::int64_t charges = 0;
  Amount charged;
  Amount would_cost;
  std::int64_t not_priced = 0;
};
using Comparisons = std::map<std::string, Comparison>;

// One account's operations under another card, with counters of their own. A counter starts where
// the first operation found it.
class Replay {
 public:
  Replay(const RateCard& card, const Account& account, Comparisons& result)
      : card_(card), account_(account), result_(result) {}

  void add(const Breakdown& stored, Instant at) {
    Comparison& row = result_[stored.operation];
    ++row.charges;
    row.charged += stored.amount;
    try {
      row.would_cost += cost(stored, at);
    } catch (const Error&) {  // the card does not have it, or refuses it
      ++row.not_priced;
    }
  }

 private:
  Amount cost(const Breakdown& stored, Instant at) {
    const Period period = period_of(operation_of(card_, stored.operation), account_, at);
    const auto [found, is_first] =
        counters_.try_emplace({stored.operation, period.start}, stored.used);
    const Breakdown priced = price(card_, request_of(stored), found->second);
    found->second += priced.quantity;
    return priced.amount;
  }

  const RateCard& card_;
  const Account& account_;
  Comparisons& result_;
  std::map<std::pair<std::string, Instant>, Amount> counters_;
};

void replay_account(const RateCard& card, const std::string& account_id, Instant since,
                    Instant until, Comparisons& result) {
  pg::Spi spi;
  const Account account = load_account(account_id, pg::now());
  Replay replay(card, account, result);
  const pg::Rows rows =
      select_operations.run({pg::timestamptz(since), pg::timestamptz(until), pg::text(account_id)});
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    if (const auto stored = read_breakdown(rows[i].jsonb(0)))
      replay.add(*stored, rows[i].timestamptz(1));
}

Comparisons replay(const RateCard& card, Instant since, Instant until,
                   const std::optional<std::string>& account_id) {
  Comparisons result;
  pg::Spi spi;
  const pg::Rows rows = select_accounts.run(
      {pg::timestamptz(since), pg::timestamptz(until), pg::text_or_null(account_id)});
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    pg::ScratchMemory scratch;
    replay_account(card, rows[i].string(0), since, until, result);
  }
  return result;
}

}  // namespace

PURSER_FUNCTION(purser_charge_operation) {
  return charge_operation_call(fcinfo, false);
}

PURSER_FUNCTION(purser_charge_operation_batch) {
  return charge_operation_call(fcinfo, true);
}

// estimate_cost(account_id, operation, quantity, modifiers, wallet) → jsonb
PURSER_FUNCTION(purser_estimate_cost) {
  return estimate_call(fcinfo, false);
}

PURSER_FUNCTION(purser_estimate_cost_batch) {
  return estimate_call(fcinfo, true);
}

// validate_rate_card(definition) → setof violation
PURSER_FUNCTION(purser_validate_rate_card) {
  const std::string definition =
      pg::Arguments(fcinfo).optional_jsonb(0, "definition").value_or("null");
  pg::RowSet result(fcinfo);
  RateCard ignored;
  for (const Violation& v : read_rate_card(definition, ignored))
    result.add({pg::text(v.path), pg::text(v.rule), pg::text(v.message)});
  return 0;
}

// replay_rate_card(definition, since, until, account_id) → setof rows; the definition is valid
PURSER_FUNCTION(purser_replay_rate_card) {
  const pg::Arguments arguments(fcinfo);
  RateCard card;
  if (!read_rate_card(arguments.optional_jsonb(0, "definition").value_or("null"), card).empty())
    throw Error(sqlstate::plan_invalid, "the rate card is not valid", {},
                "purser.validate_rate_card() lists what is wrong with it.");
  const Instant since = arguments.optional_timestamptz(1).value_or(begin_of_time);
  const Instant until = arguments.optional_timestamptz(2).value_or(pg::now());
  const std::optional<std::string> account_id = arguments.optional_id(3, "account_id");
  pg::RowSet result(fcinfo);
  for (const auto& [operation, row] : replay(card, since, until, account_id))
    result.add({pg::text(operation), pg::int8(row.charges), pg::numeric(row.charged),
                pg::numeric(row.would_cost), pg::numeric(row.would_cost - row.charged),
                pg::int8(row.not_priced)});
  return 0;
}

// recomputed_amount(breakdown) → numeric; NULL for a document that is no breakdown of a price
PURSER_FUNCTION(purser_recomputed_amount) {
  const auto json = pg::Arguments(fcinfo).optional_jsonb(0, "breakdown");
  const auto breakdown = json ? read_breakdown(*json) : std::nullopt;
  if (!breakdown) {
    fcinfo->isnull = true;
    return 0;
  }
  return pg::numeric(amount_of(*breakdown)).datum;
}

}  // namespace purser
