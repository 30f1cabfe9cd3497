// The ledger table: appending entries to a wallet's chain, finding one again, proving the chain.
#pragma once

#include <optional>
#include <string_view>

#include "core/ledger.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"
#include "extension/wallet.hpp"

namespace purser {

// Raises PU005 for an id that another request took at the same time.
[[noreturn]] void refuse_reused(const std::string& correlation_id);

// Numbers the entry and moves the wallet's balance and head on to it, in memory.
void link_entry(Wallet& wallet, LedgerEntry& entry);

// Inserts an entry just linked. False when an entry of this account has its correlation id already:
// then nothing was inserted, and the wallet in memory is not to be stored.
bool insert_entry(const Wallet& wallet, const LedgerEntry& entry);

// The table without planner and executor, for one command.
class LedgerInPlace {
 public:
  // False when only the way above is open.
  bool is_open() const { return table_.is_plain(); }

  // Whether the command's snapshot shows an entry with this correlation id.
  bool has_correlation(std::string_view account_id, std::string_view correlation_id);

  // As insert_entry(), for an id that has_correlation() does not know. An id that another wallet
  // took at the same time raises PU005.
  void insert(const Wallet& wallet, const LedgerEntry& entry, const pg::Value& allocations);

 private:
  pg::AppendedTable table_{"ledger"};
};

std::optional<LedgerEntry> find_by_correlation(std::string_view account_id,
                                               std::string_view correlation_id);

std::optional<LedgerEntry> find_entry(std::string_view account_id, std::string_view wallet,
                                      std::int64_t entry_no);

// Sum of the refunds of one charge.
Amount refunded(const LedgerEntry& charge);

// The public id of an entry: "credits/12".
std::string entry_id(const LedgerEntry& entry);

// Allocations as the API shows them: [{"grant_id","kind","amount"}].
std::string allocations_json(const std::vector<Allocation>& allocations);

// What an entry did to the balance: negative for a debit.
Amount signed_amount(const LedgerEntry& entry);

}  // namespace purser
