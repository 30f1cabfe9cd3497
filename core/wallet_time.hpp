// What time does to a wallet: holds expire, grants are lost, allowance periods begin. Nobody has to
// be awake for it. Everything due is done in the order of its instants, so that late, in pieces and
// on time come to the same.
#pragma once
#include "core/pure.hpp"

#include <string>
#include <vector>

#include "core/allowance.hpp"
#include "core/credits.hpp"
#include "core/period.hpp"

namespace purser {

struct WalletInTime {
  std::vector<Lot> lots;
  std::vector<OpenHold> holds;
  AllowanceState allowance;
  std::int64_t last_grant_id = 0;
  // Grants up to this one came while the account was subscribed, as far as that is over. The cancel
  // policy applies to them alone.
  std::int64_t last_subscribed_grant = every_grant;
  // Periods of the allowance that ended and nobody was told of yet.
  std::vector<Period> ended;
};

// Why an entry came by itself.
enum class Passing {
  expired,      // debit: the rest of a grant is lost at its end
  lapsed,       // debit: lost with the account's subscription
  rolled_over,  // debit: unused at the end of the period, granted anew by the next kind
  rollover,     // credit: what was rolled over, as a grant of its own
  allowance     // credit: the allowance of a period, or more of it after a change of plan
};

const char* to_string(Passing passing);
bool is_credit(Passing passing);

// One entry to be written, in force from `at`.
struct TimedEntry {
  Passing passing = Passing::expired;
  Instant at = 0;
  Allocation part;
  Lot granted;  // of a credit: the new grant
  bool operator==(const TimedEntry&) const = default;
};

// Does everything due by `now`, and says what is to be written, in order. Holds that expired are
// gone from `holds`. Empty lots stay; lots are in debit order afterwards.
std::vector<TimedEntry> pass_time(WalletInTime& wallet, const AllowanceSource& source, Instant now);

// The first instant at which there is something to do beside losing a lot.
Instant next_due(const WalletInTime& wallet);

// Somebody changed what the account is subscribed to at `now`, up to which time has passed: the
// allowance follows, as it would had time made the change.
std::vector<TimedEntry> change_allowance(WalletInTime& wallet, const AllowanceSource& source,
                                         Instant now);

}  // namespace purser
