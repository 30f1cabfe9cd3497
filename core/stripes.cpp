// Shares of hot counters. Sums are made in 128 bits.
#include "core/stripes.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"

namespace purser {
namespace {

using Wide = __int128;

// The least that counts as so many percent of the quota.
Wide reached_at(std::int64_t quota, int percent) {
  return (Wide{quota} * percent + 99) / 100;
}

// Units to the last one that leaves the level as it is, or past the last level without an end.
Wide before_next_level(const QuotaRule& rule, std::int64_t quota, std::int64_t used) {
  Wide next = std::numeric_limits<Wide>::max();
  for (const Wide level :
       {reached_at(quota, rule.levels.warn), reached_at(quota, rule.levels.critical), Wide{quota}})
    if (level > used) next = std::min(next, level - 1 - used);
  return next;
}

// Units to the end of the quota, and beyond it to the end of its grace.
Wide before_next_end(const QuotaRule& rule, std::int64_t quota, Wide taken) {
  if (taken <= quota) return quota - taken;
  return rule.soft ? std::numeric_limits<Wide>::max() : quota + Wide{rule.grace} - taken;
}

}  // namespace

void require_stripes(std::int64_t stripes) {
  if (stripes == 0 || (stripes >= fewest_stripes && stripes <= most_stripes)) return;
  throw Error(sqlstate::invalid_argument,
              "argument \"stripes\" must be 0 or between " + std::to_string(fewest_stripes) +
                  " and " + std::to_string(most_stripes) + ", not " + std::to_string(stripes),
              "0 counts in one row again.", "Use about as many as there are writers at once.");
}

std::int64_t countable_apart(const QuotaRule& rule, const QuotaState& state,
                             std::int64_t lifetime) {
  if (state.status != AccountStatus::active || rule.limit == 0) return 0;
  const Wide taken = Wide{state.used} + state.held;
  Wide units = std::numeric_limits<std::int64_t>::max() - std::max(taken, Wide{lifetime});
  if (const auto whole = quota(rule, state))
    units = std::min(
        {units, before_next_level(rule, *whole, state.used), before_next_end(rule, *whole, taken)});
  return static_cast<std::int64_t>(std::max<Wide>(units, 0));
}

std::vector<std::int64_t> shares(std::int64_t units, int stripes) {
  std::vector<std::int64_t> parts(static_cast<std::size_t>(stripes), units / stripes);
  for (std::int64_t i = 0; i < units % stripes; ++i) ++parts[static_cast<std::size_t>(i)];
  return parts;
}

std::string allotted_under(const QuotaRule& rule) {
  std::string words = rule.limit ? std::to_string(*rule.limit) : "unlimited";
  if (rule.soft) words += " soft";
  for (const std::int64_t number : {rule.grace, rule.rollover, std::int64_t{rule.levels.warn},
                                    std::int64_t{rule.levels.critical}})
    words += " " + std::to_string(number);
  return words;
}

}  // namespace purser
