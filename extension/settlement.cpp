// Settling entries: see settlement.hpp. The insert of an entry is the claim of its correlation id.
#include "extension/settlement.hpp"

#include <algorithm>

#include "core/credits.hpp"
#include "core/error.hpp"
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
Instant lost_at(const Wallet& wallet, const Lot& lot) {
  if (lot.expires_at <= lot.lapses_at) return lot.expires_at;
  const pg::Rows rows = select_last_use.run(
      {pg::text(wallet.account_id), pg::text(wallet.name), pg::timestamptz(lot.lapses_at),
       pg::jsonb("[{\"grant_id\":" + std::to_string(lot.grant_id) + "}]")});
  return rows[0].is_null(0) ? lot.lapses_at : rows[0].timestamptz(0);
}

const Lot& lot_of(const Wallet& wallet, std::int64_t grant_id) {
  return *std::find_if(wallet.lots.begin(), wallet.lots.end(),
                       [grant_id](const Lot& lot) { return lot.grant_id == grant_id; });
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

void write_off_expired(Wallet& wallet, Instant now) {
  for (const Allocation& lost : take_expired(wallet.lots, now)) {
    const Lot& lot = lot_of(wallet, lost.grant_id);
    LedgerEntry entry;
    entry.direction = Direction::debit;
    entry.reason = lot.expires_at <= lot.lapses_at ? "expired" : "lapsed";
    entry.amount = lost.amount;
    entry.allocations = {lost};
    entry.created_at = now;
    entry.effective_at = lost_at(wallet, lot);
    link_entry(wallet, entry);
    insert_entry(wallet, entry);
  }
  drop_empty(wallet.lots);
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
  store_wallet(wallet);
  if (record) record(entry);
  return {std::move(entry), false, std::nullopt};
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

}  // namespace purser
