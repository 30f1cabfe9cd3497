// How a hot counter is shared out. Its count lies in several rows ("stripes"), and each stripe may
// give out on its own what it was allotted: so much that, however the stripes are used, no answer
// changes on the way. The unit that would change one (a warning level, the end of the quota, the
// range of a count) is left to whoever sees the exact sum.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "core/quota.hpp"

namespace purser {

inline constexpr int fewest_stripes = 2;
inline constexpr int most_stripes = 64;

// PU014 unless it is 0 (not striped) or between the bounds.
void require_stripes(std::int64_t stripes);

// Units that may be counted one by one, in whatever amounts, before the next one needs the exact
// sum. With any more, some order of amounts would be answered differently.
std::int64_t countable_apart(const QuotaRule& rule, const QuotaState& state, std::int64_t lifetime);

// `units` in equal parts; the first parts have one more where it does not divide.
std::vector<std::int64_t> shares(std::int64_t units, int stripes);

// All of a rule that countable_apart() depends on, in words that differ when any of it does. What
// was allotted under one rule is worth nothing under another.
std::string allotted_under(const QuotaRule& rule);

}  // namespace purser
