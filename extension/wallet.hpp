// One wallet row in memory: its lots, its balance and the head of its ledger chain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/credits.hpp"
#include "core/ledger.hpp"
#include "core/quota.hpp"
#include "core/wallet_time.hpp"
#include "extension/account.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

// Lots, open holds and allowance, and what they belong to.
struct Wallet : WalletInTime {
  std::string account_id;
  std::string name;
  AccountStatus status = AccountStatus::active;
  std::int64_t last_entry_no = 0;
  Amount balance;                            // sum of the ledger
  Digest head{};                             // hash of the last entry
  Instant subscription_until = end_of_time;  // from then on the account has no live subscription
  Instant holds_until = end_of_time;         // when the next open hold expires
  std::optional<Amount> alert_below;         // absent: the setting low_balance
  std::optional<Amount> top_up_below;        // absent: no top-ups
  bool is_partial = false;                   // read in place, without the lots stored aside
  Amount stored_credits;                     // what remained of all lots as they were read
  Instant tail_until = end_of_time;          // when the first of those stored aside expires
  std::vector<Lot> stored_tail;  // what is stored aside of them, written again when it differs

  // Whether time has something to do to it. The open holds need not have been loaded.
  bool is_due(Instant now) const {
    return is_past(holds_until, now) || is_past(allowance.due, now) || is_past(tail_until, now) ||
           has_expired(lots, now);
  }
};

// The setting credits_on_cancel.
CancelPolicy cancel_policy();

// As it stands; nullopt when it does not exist. Locks nothing.
std::optional<Wallet> read_wallet(std::string_view account_id, std::string_view name);

// Locked FOR NO KEY UPDATE; nullopt when it does not exist.
std::optional<Wallet> lock_wallet(std::string_view account_id, std::string_view name);

// Locked, and made first when it does not exist (with its account), then without an allowance.
Wallet open_wallet(std::string_view account_id, std::string_view name, Instant now);

// Every wallet of the account, by name.
std::vector<std::string> wallet_names(std::string_view account_id);

// Loads the open holds, the soonest to expire first.
void load_holds(Wallet& wallet, View view);

// When the first of the holds expires; end_of_time without any.
Instant first_expiry(const std::vector<OpenHold>& holds);

// Writes a locked wallet back.
void store_wallet(const Wallet& wallet);

// The same row without planner and executor, and without a lock before it is written: read it,
// plan, store it. Of a wallet of many grants it has the first lots only, those to be debited first;
// so a charge may not suffice here and yet be good. store() is false when another transaction
// changed it meanwhile; nothing is written then.
class WalletInPlace {
 public:
  // nullopt when the plain way is closed (see KeyedRow) or the wallet does not exist.
  std::optional<Wallet> read(std::string_view account_id, std::string_view name);
  bool store(const Wallet& wallet);

 private:
  pg::KeyedRow row_{"wallet"};
  std::vector<Lot> lots_;  // as read
};

// A grant as it was made.
struct GrantRecord {
  Lot lot;  // remaining is the amount granted
  std::int64_t entry_no = 0;
  Instant granted_at = 0;
  int grace_days = 0;  // of which its end is later than was announced
};

void insert_grant(const Wallet& wallet, const GrantRecord& grant);

// The lot a grant started as, with nothing remaining.
Lot grant_template(const Wallet& wallet, std::int64_t grant_id);

}  // namespace purser
