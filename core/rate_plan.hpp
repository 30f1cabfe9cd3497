// Rate limits as plan data: a limit for each scope, and one factor for all of them.
#pragma once
#include "core/pure.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/document.hpp"
#include "core/ratelimit.hpp"

namespace purser {

struct RatePlan {
  std::map<std::string, std::optional<RateLimit>, std::less<>> limits;  // absent is unlimited
  Amount multiplier = Amount::from_micros(Amount::unit);
};

// Reads "rate_limits" and "rate_multiplier" of a plan document, or reports what is wrong with them.
void read_rate_plan(const Json& document, const Place& place, RatePlan& plan);

// The limit an account has for a scope: as its plan writes it, or else as the default plan does,
// times the factor of its own plan; rounded down, at least 1. Absent when it is unlimited, which it
// also is where neither of the two plans limits the scope.
std::optional<RateLimit> limit_of(const RatePlan& plan, const RatePlan& default_plan,
                                  std::string_view scope);

}  // namespace purser
