// Settling entries: see settlement.hpp. The insert of an entry is the claim of its correlation id.
#include "extension/settlement.hpp"

#include <algorithm>

#include "core/credits.hpp"
#include "core/error.hpp"
#include "extension/allowance.hpp"
#include "extension/catalog.hpp"
#include "extension/ledger.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

constexpr std::size_t most_lots = 200;  // live grants of one wallet

// When the grant was last used, if it was after an instant.
pg::Statement select_last_use{
    "SELECT pg_catalog.max(l.effective_at) FROM purser.ledger AS l"
    " WHERE l.account_id OPERATOR(pg_catalog.=) $1 AND l.wallet OPERATOR(pg_catalog.=) $2"
    "   AND l.effective_at OPERATOR(pg_catalog.>) $3"
    "   AND l.allocations OPERATOR(pg_catalog.@>) $4",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID}};

// A lapse reaches back to the end of the subscription, but not behind what the grant has seen since
// under another policy: no balance of the past may turn out negative.
Instant lapsed_at(const Wallet& wallet, std::int64_t grant_id, Instant at) {
  const pg::Rows rows =
      select_last_use.run({pg::text(wallet.account_id), pg::text(wallet.name), pg::timestamptz(at),
                           pg::jsonb("[{\"grant_id\":" + std::to_string(grant_id) + "}]")});
  return rows[0].is_null(0) ? at : rows[0].timestamptz(0);
}

pg::Statement expire_holds{
    "UPDATE purser.credit_hold"
    "   SET state = 'expired', ended_at = expires_at, parts = '[]'"
    " WHERE account_id OPERATOR(pg_catalog.=) $1 AND wallet OPERATOR(pg_catalog.=) $2"
    "   AND state OPERATOR(pg_catalog.=) 'open' AND expires_at OPERATOR(pg_catalog.<=) $3",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

pg::Statement emit_statement{"SELECT purser._emit_statement($1, $2, $3, $4)",
                             {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

pg::Statement emit_lost{"SELECT purser._emit_lost($1, $2, $3, $4, $5)",
                        {TEXTOID, TEXTOID, INT8OID, TEXTOID, NUMERICOID}};

pg::Statement emit_low{"SELECT purser._emit_low($1, $2, $3, $4)",
                       {TEXTOID, TEXTOID, NUMERICOID, NUMERICOID}};

pg::Statement request_top_up{"SELECT purser._request_top_up($1, $2, $3)",
                             {TEXTOID, TEXTOID, NUMERICOID}};

// Whether the loss is worth telling. What an allowance leaves unused is in the month's statement.
bool is_breakage(const TimedEntry& passed) {
  return (passed.passing == Passing::expired || passed.passing == Passing::lapsed) &&
         passed.part.kind != "monthly";
}

void write_down(Wallet& wallet, const TimedEntry& passed, Instant now) {
  LedgerEntry entry;
  entry.direction = is_credit(passed.passing) ? Direction::credit : Direction::debit;
  entry.reason = to_string(passed.passing);
  entry.amount = passed.part.amount;
  entry.allocations = {passed.part};
  entry.created_at = now;
  entry.effective_at = passed.passing == Passing::lapsed
                           ? lapsed_at(wallet, passed.part.grant_id, passed.at)
                           : passed.at;
  link_entry(wallet, entry);
  insert_entry(wallet, entry);
  if (is_breakage(passed))
    emit_lost.run({pg::text(wallet.account_id), pg::text(wallet.name),
                   pg::int8(passed.part.grant_id), pg::text(entry.reason),
                   pg::numeric(entry.amount)});
  if (is_credit(passed.passing)) insert_grant(wallet, {passed.granted, entry.entry_no, passed.at});
}

void write_down(Wallet& wallet, const std::vector<TimedEntry>& passed, Instant now) {
  for (const TimedEntry& entry : passed) write_down(wallet, entry, now);
  drop_empty(wallet.lots);
  for (const Period& period : wallet.ended)
    emit_statement.run({pg::text(wallet.account_id), pg::text(wallet.name),
                        pg::timestamptz(period.start), pg::timestamptz(period.end)});
  wallet.ended.clear();
}

}  // namespace

std::optional<Outcome> earlier(std::string_view account_id, const std::string& correlation_id,
                               const Digest& fingerprint) {
  const auto stored = find_by_correlation(account_id, correlation_id);
  if (!stored) return std::nullopt;
  if (stored->fingerprint != fingerprint)
    throw Error(sqlstate::idempotency_key_reused,
                "correlation id \"" + correlation_id + "\" was used for another request",
                "It belongs to ledger entry " + entry_id(*stored) + ", " +
                    to_string(stored->direction) + " " + stored->amount.to_string() + " for \"" +
                    stored->reason + "\".",
                "Use a new correlation id for a new request.");
  return Outcome{*stored, true, std::nullopt};
}

void bring_up_to(Wallet& wallet, Instant now) {
  if (!wallet.is_due(now)) return;
  const bool holds_expire = is_past(wallet.holds_until, now);
  if (holds_expire) load_holds(wallet, View::newest);
  const AllowanceSource source =
      allowance_source(wallet.account_id, wallet.name, now, View::newest);
  write_down(wallet, pass_time(wallet, source, now), now);
  if (!holds_expire) return;
  expire_holds.run({pg::text(wallet.account_id), pg::text(wallet.name), pg::timestamptz(now)});
  wallet.holds_until = first_expiry(wallet.holds);
}

std::vector<TimedEntry> look_ahead(Wallet& wallet, Instant at) {
  if (!wallet.is_due(at)) return {};
  if (is_past(wallet.holds_until, at)) load_holds(wallet, View::of_statement);
  return pass_time(wallet, allowance_source(wallet.account_id, wallet.name, at, View::of_statement),
                   at);
}

Wallet current_wallet(std::string_view account_id, std::string_view name, Instant now) {
  Wallet wallet = open_wallet(account_id, name, now);
  if (wallet.allowance.period_end == begin_of_time)
    follow_plan(wallet, now);
  else
    bring_up_to(wallet, now);
  return wallet;
}

Wallet wallet_as_of(std::string_view account_id, std::string_view name, Instant now) {
  if (auto stored = read_wallet(account_id, name)) {
    look_ahead(*stored, now);
    return std::move(*stored);
  }
  Wallet unopened;
  unopened.account_id = account_id;
  unopened.name = name;
  change_allowance(unopened, allowance_source(account_id, name, now, View::of_statement), now);
  return unopened;
}

// To expire now is to end now.
void give_back(Wallet& wallet, const std::string& hold_id, Instant now) {
  for (OpenHold& hold : wallet.holds)
    if (hold.hold_id == hold_id) hold.expires_at = now;
  const AllowanceSource source =
      allowance_source(wallet.account_id, wallet.name, now, View::newest);
  write_down(wallet, pass_time(wallet, source, now), now);
  wallet.holds_until = first_expiry(wallet.holds);
}

void follow_plan(Wallet& wallet, Instant now) {
  const AllowanceSource source =
      allowance_source(wallet.account_id, wallet.name, now, View::newest);
  write_down(wallet, change_allowance(wallet, source, now), now);
}

namespace {

Amount alert_threshold(const Wallet& wallet) {
  return wallet.alert_below.value_or(catalog()->low_balance());
}

// What could be spent before the change, as far as the end of the subscription lets it be; what has
// been lost to time since counts, for that is a crossing too.
Amount before_change(const Wallet& wallet, Instant now) {
  if (!is_past(wallet.subscription_until, now)) return wallet.stored_credits;
  Amount frozen;
  for (const Lot& lot : wallet.lots)
    if (lot.is_frozen(now)) frozen += lot.remaining;
  return wallet.stored_credits - std::min(frozen, wallet.stored_credits);
}

bool crosses(Amount threshold, Amount before, Amount after) {
  return threshold.is_positive() && before >= threshold && after < threshold;
}

}  // namespace

bool has_news(const Wallet& wallet, Instant now) {
  const Amount threshold = alert_threshold(wallet), after = spendable(wallet.lots, now);
  // Of a wallet that is known in part only the whole can tell.
  const bool low =
      wallet.is_partial ? after < threshold : crosses(threshold, before_change(wallet, now), after);
  return low || (wallet.top_up_below && after < *wallet.top_up_below);
}

void store(const Wallet& wallet, Instant now) {
  store_wallet(wallet);
  const Amount threshold = alert_threshold(wallet);
  const Amount after = spendable(wallet.lots, now);
  if (crosses(threshold, before_change(wallet, now), after))
    emit_low.run({pg::text(wallet.account_id), pg::text(wallet.name), pg::numeric(after),
                  pg::numeric(threshold)});
  if (wallet.top_up_below)
    request_top_up.run({pg::text(wallet.account_id), pg::text(wallet.name), pg::numeric(after)});
}

void require_room(const Wallet& wallet) {
  if (wallet.lots.size() < most_lots) return;
  throw Error(sqlstate::limit_reached,
              "wallet \"" + wallet.name + "\" of account \"" + wallet.account_id + "\" has " +
                  std::to_string(wallet.lots.size()) + " live grants, at most " +
                  std::to_string(most_lots),
              {}, "Spend or merge small grants before adding another.");
}

Outcome settle(Wallet& wallet, LedgerEntry entry, const Digest& fingerprint,
               const std::function<void(const LedgerEntry&)>& record) {
  entry.fingerprint = fingerprint;
  link_entry(wallet, entry);
  if (!insert_entry(wallet, entry))
    return *earlier(wallet.account_id, *entry.correlation_id, fingerprint);
  drop_empty(wallet.lots);
  store(wallet, entry.created_at);
  if (record) record(entry);
  return {std::move(entry), false, std::nullopt};
}

Datum entry_datum(FunctionCallInfo fcinfo, const Outcome& outcome) {
  const LedgerEntry& e = outcome.entry;
  return pg::composite(fcinfo, {pg::text(entry_id(e)), pg::text(e.account_id), pg::text(e.wallet),
                                pg::text(to_string(e.direction)), pg::text(e.reason),
                                pg::numeric(e.amount), pg::numeric(e.balance_after),
                                outcome.allocations ? *outcome.allocations
                                                    : pg::jsonb(allocations_json(e.allocations)),
                                pg::text_or_null(e.resource_type), pg::text_or_null(e.resource_id),
                                pg::jsonb_or_null(e.breakdown), pg::text_or_null(e.correlation_id),
                                pg::timestamptz(e.created_at), pg::boolean(outcome.replayed)});
}

}  // namespace purser
