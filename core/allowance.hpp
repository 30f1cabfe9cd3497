// Credits that come with each month of a plan: how much, and what becomes of those not used.
#pragma once
#include "core/pure.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/amount.hpp"
#include "core/document.hpp"
#include "core/period.hpp"

namespace purser {

// What happens to unused credits of an allowance at the end of its period.
struct Rollover {
  Amount percent;                      // this share is granted anew; 0: nothing rolls over
  std::optional<Amount> max_multiple;  // of the allowance: the most that may be rolled over in all
  std::optional<int> days;             // the new grant lives so long; absent: it never expires
  bool operator==(const Rollover&) const = default;
};

// What a plan gives for one wallet each month.
struct Allowance {
  Amount amount;  // zero: none
  Rollover rollover;
  bool operator==(const Allowance&) const = default;
};

// By the name of the wallet.
using PlanCredits = std::map<std::string, Allowance, std::less<>>;

// Reads "credits" of a plan document, or reports what is wrong with it:
//   {"credits": {"allowance": 4000, "rollover": {"percent": 10, "max_multiple": 2, "days": 30}}}
void read_plan_credits(const Json& document, const Place& place, PlanCredits& credits);

// An allowance as it runs in a wallet, in one period.
struct AllowanceState {
  Allowance allowance;  // amount: the most that any plan of the period gave
  Instant period_start = begin_of_time;
  Instant period_end = begin_of_time;  // begin_of_time: none has begun yet
  Instant due = end_of_time;           // when it has to be looked at again
  bool subscribed = false;
  bool operator==(const AllowanceState&) const = default;
};

// What an account is entitled to at an instant, as far as everything that happened shows.
struct AllowanceTerms {
  Allowance allowance;
  Period period;                // that contains the instant
  Instant until = end_of_time;  // when time alone will change the plan
  bool subscribed = false;
};
using AllowanceSource = std::function<AllowanceTerms(Instant)>;

// How much of what was not used rolls over, when so much has been rolled over before and is there.
// Rounded down to a millionth.
Amount rolled_over(const Allowance& allowance, Amount unused, Amount rolled_over_before);

}  // namespace purser
