// Tells an account's wallets when its subscription ends. What that does to credits is decided when
// a wallet is read.
//
// Locks: the caller holds the account; here its wallets, in key order.
#include <string>

#include "core/credits.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/value.hpp"
#include "extension/settlement.hpp"
#include "extension/subscription.hpp"
#include "extension/wallet.hpp"

namespace purser {

// _tell_wallets(account_id)
PURSER_FUNCTION(purser_tell_wallets) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  const Instant now = pg::now();
  pg::Spi spi;
  const Instant until = subscription_until(account_id);
  for (const std::string& name : wallet_names(account_id)) {
    std::optional<Wallet> wallet = lock_wallet(account_id, name);
    if (!wallet || wallet->subscription_until == until) continue;
    // What lapsed before a new subscription began must not come back with it.
    if (has_expired(wallet->lots, now)) {
      write_off_expired(*wallet, now);
      store_wallet(*wallet);
    }
    store_subscription_until(*wallet, until);
  }
  return 0;
}

}  // namespace purser
