// What a change of an account's subscription means to its wallets. Before it, they are brought up
// to now under the plan as it was; after it, allowances follow the plan as it is, and each wallet
// is told when the subscription ends.
//
// Locks: the caller holds the account; here its wallets, in key order.
#include <set>
#include <string>

#include "core/credits.hpp"
#include "extension/allowance.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/value.hpp"
#include "extension/settlement.hpp"
#include "extension/subscription.hpp"
#include "extension/wallet.hpp"

namespace purser {

namespace {

// The wallets there are, and those that the account's plan gives credits for.
std::set<std::string> wallets_of_plan(const std::string& account_id, Instant now) {
  const std::vector<std::string> there = wallet_names(account_id);
  std::set<std::string> names(there.begin(), there.end());
  const Account account = load_account(account_id, now);
  if (!account.plan) return names;
  for (const auto& [wallet, allowance] :
       catalog()->version(account.plan, account.pinned_version).credits)
    if (allowance.amount.is_positive()) names.insert(wallet);
  return names;
}

}  // namespace

// _settle_wallets(account_id)
PURSER_FUNCTION(purser_settle_wallets) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  const Instant now = pg::now();
  pg::Spi spi;
  for (const std::string& name : wallet_names(account_id)) {
    std::optional<Wallet> wallet = lock_wallet(account_id, name);
    if (!wallet || !wallet->is_due(now)) continue;
    bring_up_to(*wallet, now);
    store(*wallet, now);
  }
  return 0;
}

// _settle_wallet(account_id, wallet)
PURSER_FUNCTION(purser_settle_wallet) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const Instant now = pg::now();
  pg::Spi spi;
  std::optional<Wallet> wallet = lock_wallet(account_id, arguments.id(1, "wallet"));
  if (!wallet || !wallet->is_due(now)) return 0;
  bring_up_to(*wallet, now);
  store(*wallet, now);
  return 0;
}

// _open_wallet(account_id, wallet)
PURSER_FUNCTION(purser_open_wallet) {
  const pg::Arguments arguments(fcinfo);
  const std::string_view account_id = arguments.id(0, "account_id");
  const std::string_view name = arguments.id(1, "wallet");
  const Instant now = pg::now();
  pg::Spi spi;
  store(current_wallet(account_id, name, now), now);
  return 0;
}

// _tell_wallets(account_id)
PURSER_FUNCTION(purser_tell_wallets) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  const Instant now = pg::now();
  pg::Spi spi;
  const Instant until = subscription_until(account_id);
  for (const std::string& name : wallets_of_plan(account_id, now)) {
    Wallet wallet = current_wallet(account_id, name, now);
    follow_plan(wallet, now);
    wallet.subscription_until = until;
    store(wallet, now);
  }
  return 0;
}

}  // namespace purser
