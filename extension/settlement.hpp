// What granting, charging and refunding share: the answer to a request made before, expired credits
// written off, and an entry settled into ledger and wallet. The caller holds the wallet's lock.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

// Writes down what time did to a locked wallet since it was last changed: one entry for each thing,
// in force from its instant, and the holds that expired. The wallet itself is the caller's to
// store.
void bring_up_to(Wallet& wallet, Instant now);

// The same in memory alone, as `at` will find or found it; returns what is to be written.
std::vector<TimedEntry> look_ahead(Wallet& wallet, Instant at);

// The wallet locked, with all that time did to it written down; made with the allowance of its
// account's plan when it does not exist.
Wallet current_wallet(std::string_view account_id, std::string_view name, Instant now);

// The wallet as of now in memory; one that does not exist with the allowance it would begin with.
Wallet wallet_as_of(std::string_view account_id, std::string_view name, Instant now);

// Ends a loaded hold of a wallet that is up to now: what is left of it goes back to its grants, and
// what belongs to a grant that is lost is written off as of now.
void give_back(Wallet& wallet, const std::string& hold_id, Instant now);

// Whether the change that is to be stored may take the wallet below a threshold somebody is told
// of.
bool has_news(const Wallet& wallet, Instant now);

// Writes a locked wallet back, and tells of a threshold it has come below: the event credits.low
// once for each crossing, and a request for a top-up.
void store(const Wallet& wallet, Instant now);

// The account's plan was changed: the allowance of a wallet that is up to now follows.
void follow_plan(Wallet& wallet, Instant now);

// PU015 when the wallet has no room for another grant.
void require_room(const Wallet& wallet);

// Appends the entry and stores the wallet, then records what else belongs to the entry; returns the
// earlier entry when its id is taken.
Outcome settle(Wallet& wallet, LedgerEntry entry, const Digest& fingerprint,
               const std::function<void(const LedgerEntry&)>& record = {});

// The outcome as a row of purser.ledger_entry.
Datum entry_datum(FunctionCallInfo fcinfo, const Outcome& outcome);

}  // namespace purser
