// Quota set aside for work in flight: hold_quota, commit_quota, release_quota.
//
// A hold reduces what remains from the moment it is made, whichever period that falls into, until
// it is committed, released, or expires by time. What is committed counts in the period of the
// commit.
//
// Locks: the entitlement, then the hold.
#include "core/error.hpp"
#include "extension/entitlement.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

namespace {

pg::Statement select_hold{
    "SELECT h.feature, h.amount, h.state, h.committed, h.expires_at FROM purser.quota_hold AS h"
    " WHERE h.account_id OPERATOR(pg_catalog.=) $1 AND h.hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID}};

pg::Statement insert_hold{
    "INSERT INTO purser.quota_hold"
    "       (account_id, hold_id, feature, amount, state, expires_at, created_at)"
    " VALUES ($1, $2, $3, $4, 'open', $5, $6) ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

pg::Statement end_hold{
    "UPDATE purser.quota_hold SET state = $3, committed = $4, ended_at = $5"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND hold_id OPERATOR(pg_catalog.=) $2",
    {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}};

struct Hold {
  std::string feature;
  std::int64_t amount = 0;
  std::string state;
  std::optional<std::int64_t> committed;
  Instant expires_at = 0;
};

std::optional<Hold> find_hold(const std::string& account_id, const std::string& hold_id) {
  const pg::Rows rows = select_hold.run({pg::text(account_id), pg::text(hold_id)});
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  return Hold{row.string(0), row.int8(1), row.string(2), row.optional_int8(3), row.timestamptz(4)};
}

[[noreturn]] void not_open(const std::string& hold_id, const std::string& why, const char* next) {
  throw Error(sqlstate::hold_not_open, "hold \"" + hold_id + "\" is not open", why, next);
}

Hold require_hold(const std::string& account_id, const std::string& hold_id) {
  if (auto hold = find_hold(account_id, hold_id)) return *hold;
  not_open(hold_id, "The account has no hold of this id.",
           "Pass the hold_id that hold_quota() returned.");
}

// ---- hold ---------------------------------------------------------------------------------------

struct HoldRequest {
  std::string account_id;
  std::string feature;
  std::int64_t amount = 1;
  Instant expires_at = 0;
  std::string hold_id;
};

constexpr Instant longest_hold = Instant{366} * 86'400 * microseconds_per_second;

HoldRequest read_hold_request(const pg::Arguments& arguments, Instant now) {
  HoldRequest request{std::string(arguments.id(0, "account_id")),
                      std::string(arguments.id(1, "feature")), arguments.int8(2, "amount"), 0,
                      std::string(arguments.id(4, "hold_id"))};
  if (request.amount <= 0)
    throw Error(sqlstate::invalid_amount,
                "amount must be positive, got " + std::to_string(request.amount), {},
                "Hold at least 1.");
  request.expires_at = now + arguments.microseconds(3, "ttl");
  if (request.expires_at <= now || request.expires_at > now + longest_hold)
    throw Error(sqlstate::invalid_argument,
                "argument \"ttl\" must be longer than nothing and at most 366 days", {},
                "Hold for as long as the work may take, for example '15 minutes'.");
  return request;
}

// The same hold asked for again is the same hold, if nothing about it differs.
void require_same(const HoldRequest& request, const Hold& hold) {
  if (hold.feature == request.feature && hold.amount == request.amount) return;
  throw Error(sqlstate::idempotency_key_reused,
              "hold \"" + request.hold_id + "\" was made for another request",
              "It holds " + std::to_string(hold.amount) + " of \"" + hold.feature + "\".",
              "Use a new hold_id for a new hold.");
}

Answer standing(const Counter& counter, const std::string& hold_id) {
  Answer answer = counter.answer(recorded(counter.rule, counter.row.state, 0));
  answer.hold_id = hold_id;
  return answer;
}

Answer hold_quota(const HoldRequest& request, Catalog& plans, Instant now) {
  Counter counter = locked_counter(request.account_id, request.feature, plans, now);
  if (const auto made = find_hold(request.account_id, request.hold_id)) {
    require_same(request, *made);
    return standing(counter, request.hold_id);
  }
  Answer answer = counter.decide(request.amount);
  if (!answer.allowed) return answer;
  counter.row.state.held += request.amount;
  counter.row.fresh_until = std::min(counter.row.fresh_until, request.expires_at);
  store(counter, now);
  const pg::Rows made = insert_hold.run(
      {pg::text(request.account_id), pg::text(request.hold_id), pg::text(request.feature),
       pg::int8(request.amount), pg::timestamptz(request.expires_at), pg::timestamptz(now)});
  // Made under another feature's lock at this moment.
  if (made.processed() == 0)
    require_same(request, require_hold(request.account_id, request.hold_id));
  Answer held = counter.decide(0);
  held.hold_id = request.hold_id;
  return held;
}

// ---- commit and release -------------------------------------------------------------------------

struct OpenHold {
  Counter counter;
  Hold hold;  // as it stands under the counter's lock
};

OpenHold lock_hold(const std::string& account_id, const std::string& hold_id, Catalog& plans,
                   Instant now) {
  const std::string feature = require_hold(account_id, hold_id).feature;
  Counter counter = locked_counter(account_id, feature, plans, now);
  Hold hold = require_hold(account_id, hold_id);
  if (hold.state == "open" && hold.expires_at <= now) hold.state = "expired";
  return {std::move(counter), std::move(hold)};
}

void finish(Counter& counter, const std::string& hold_id, const Hold& hold, const char* state,
            std::optional<std::int64_t> committed, Instant now) {
  counter.row.state.held -= hold.amount;
  store(counter, now);
  end_hold.run({pg::text(counter.account_id), pg::text(hold_id), pg::text(state),
                pg::int8(committed), pg::timestamptz(now)});
}

// What was held is given in any case; what goes beyond must fit like any other use. A refusal says
// how much could be committed.
Answer commit(OpenHold& open, const std::string& hold_id, std::int64_t amount, Instant now) {
  Counter& counter = open.counter;
  QuotaState without = counter.row.state;
  without.held -= open.hold.amount;
  if (amount > open.hold.amount) {
    Answer refused = counter.answer(decide(counter.rule, without, amount));
    refused.hold_id = hold_id;
    if (!refused.allowed) return refused;
  }
  const Decision decision = recorded(counter.rule, without, amount);
  counter.record(amount);
  finish(counter, hold_id, open.hold, "committed", amount, now);
  Answer answer = counter.answer(decision);
  answer.hold_id = hold_id;
  return answer;
}

FeatureAnswer commit_quota(const std::string& account_id, const std::string& hold_id,
                           std::optional<std::int64_t> given, Catalog& plans, Instant now) {
  OpenHold open = lock_hold(account_id, hold_id, plans, now);
  const std::int64_t amount = given.value_or(open.hold.amount);
  if (amount < 0)
    throw Error(sqlstate::invalid_amount,
                "amount must not be negative, got " + std::to_string(amount), {},
                "Commit what was really used, 0 or more.");
  if (open.hold.state == "open") return {open.hold.feature, commit(open, hold_id, amount, now)};
  if (open.hold.state != "committed")
    not_open(hold_id, open.hold.state == "expired" ? "It has expired." : "It was released.",
             "Count what was used with record_usage().");
  if (open.hold.committed != amount)
    not_open(hold_id, "It was committed with " + std::to_string(*open.hold.committed) + ".",
             "Correct the count with record_usage().");
  return {open.hold.feature, standing(open.counter, hold_id)};
}

FeatureAnswer release_quota(const std::string& account_id, const std::string& hold_id,
                            Catalog& plans, Instant now) {
  OpenHold open = lock_hold(account_id, hold_id, plans, now);
  if (open.hold.state == "committed")
    not_open(hold_id, "It was committed with " + std::to_string(*open.hold.committed) + ".",
             "Take back what was not used with a negative record_usage().");
  if (open.hold.state == "open")
    finish(open.counter, hold_id, open.hold, "released", std::nullopt, now);
  return {open.hold.feature, standing(open.counter, hold_id)};
}

Datum hold_datum(FunctionCallInfo fcinfo, const std::string& account_id,
                 const FeatureAnswer& given) {
  return pg::composite(fcinfo, decision_columns(account_id, given.feature, given.answer));
}

}  // namespace

// hold_quota(account_id, feature, amount, ttl, hold_id) → decision
PURSER_FUNCTION(purser_hold_quota) {
  const Instant now = pg::now();
  const HoldRequest request = read_hold_request(pg::Arguments(fcinfo), now);
  pg::Spi spi;
  const auto plans = catalog();
  plans->feature(request.feature);
  return hold_datum(fcinfo, request.account_id,
                    {request.feature, hold_quota(request, *plans, now)});
}

// commit_quota(account_id, hold_id, amount) → decision
PURSER_FUNCTION(purser_commit_quota) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const std::string hold_id(arguments.id(1, "hold_id"));
  pg::Spi spi;
  const auto plans = catalog();
  return hold_datum(
      fcinfo, account_id,
      commit_quota(account_id, hold_id, arguments.optional_int8(2), *plans, pg::now()));
}

// release_quota(account_id, hold_id) → decision
PURSER_FUNCTION(purser_release_quota) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const std::string hold_id(arguments.id(1, "hold_id"));
  pg::Spi spi;
  const auto plans = catalog();
  return hold_datum(fcinfo, account_id, release_quota(account_id, hold_id, *plans, pg::now()));
}

}  // namespace purser
