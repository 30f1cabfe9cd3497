// One wallet row in memory: its lots, its balance and the head of its ledger chain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/credits.hpp"
#include "core/ledger.hpp"
#include "core/quota.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

struct Wallet {
  std::string account_id;
  std::string name;
  AccountStatus status = AccountStatus::active;
  std::int64_t last_entry_no = 0;
  std::int64_t last_grant_id = 0;
  Amount balance;                            // sum of the ledger
  Digest head{};                             // hash of the last entry
  Instant subscription_until = end_of_time;  // from then on the account has no live subscription
  std::vector<Lot> lots;
  std::vector<Lot> stored_tail;  // what is stored aside of them, written again when it differs
};

// The setting credits_on_cancel.
CancelPolicy cancel_policy();

// As it stands; nullopt when it does not exist. Locks nothing.
std::optional<Wallet> read_wallet(std::string_view account_id, std::string_view name);

// Locked FOR NO KEY UPDATE; nullopt when it does not exist.
std::optional<Wallet> lock_wallet(std::string_view account_id, std::string_view name);

// Locked, and made first when it does not exist (with its account).
Wallet open_wallet(std::string_view account_id, std::string_view name, Instant now);

// Every wallet of the account, by name.
std::vector<std::string> wallet_names(std::string_view account_id);

// The account's subscription ends at another time now: changes a locked wallet's row.
void store_subscription_until(const Wallet& wallet, Instant until);

// Writes a locked wallet back.
void store_wallet(const Wallet& wallet);

// The same row without planner and executor, and without a lock before it is written: read it,
// plan, store it. Of a wallet of many grants it has the first lots only, those to be debited first;
// so a charge may not suffice here and yet be good. store() is false when another transaction changed it meanwhile; nothing is
// written then.
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
};

void insert_grant(const Wallet& wallet, const GrantRecord& grant);

// The lot a grant started as, with nothing remaining.
Lot grant_template(const Wallet& wallet, std::int64_t grant_id);

}  // namespace purser
