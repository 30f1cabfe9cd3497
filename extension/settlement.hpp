// What granting, charging and refunding share: the answer to a request made before, expired credits
// written off, and an entry settled into ledger and wallet. The caller holds the wallet's lock.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/ledger.hpp"
#include "extension/pg/value.hpp"
#include "extension/wallet.hpp"

namespace purser {

inline constexpr std::size_t longest_text = 4096;  // bytes of a note or a title

// An entry and whether it had been made before.
struct Outcome {
  LedgerEntry entry;
  bool replayed = false;
  std::optional<pg::Value> allocations;  // as jsonb, where it was made already
};

// The entry made earlier by the same request, if there is one. PU005 when the id belongs to
// another.
std::optional<Outcome> earlier(std::string_view account_id, const std::string& correlation_id,
                               const Digest& fingerprint);

// Writes off what expired since the wallet was last changed, and what lapsed with the account's
// subscription: one entry for each grant, in force from the instant it was lost.
void write_off_expired(Wallet& wallet, Instant now);

// PU015 when the wallet has no room for another grant.
void require_room(const Wallet& wallet);

// Appends the entry and stores the wallet, then records what else belongs to the entry; returns the
// earlier entry when its id is taken.
Outcome settle(Wallet& wallet, LedgerEntry entry, const Digest& fingerprint,
               const std::function<void(const LedgerEntry&)>& record = {});

// The outcome as a row of purser.ledger_entry.
Datum entry_datum(FunctionCallInfo fcinfo, const Outcome& outcome);

}  // namespace purser
