// The arithmetic of rate limits, in fixed point: instants and spans count in 2^-64 microseconds, so
// that a limit of more requests than its window has microseconds still has a span for each.
#include "core/ratelimit.hpp"

#include <algorithm>

namespace purser {
namespace {

using Ticks = __int128;

constexpr int fraction_bits = 64;
constexpr Ticks tick_mask = (static_cast<Ticks>(1) << fraction_bits) - 1;

// Far enough from the ends of time that no difference and no sum leaves 128 bits.
constexpr Instant latest = std::int64_t{1} << 61;

// By how much one caller's clock may be behind another's before it counts as set back.
constexpr std::int64_t longest_overtaking = 60 * microseconds_per_second;

Ticks ticks(std::int64_t microseconds) {
  return static_cast<Ticks>(microseconds) << fraction_bits;
}

std::int64_t microseconds_down(Ticks span) {
  return static_cast<std::int64_t>(span >> fraction_bits);
}

std::int64_t microseconds_up(Ticks span) {
  return microseconds_down(span + tick_mask);
}

// The time one request takes to be given back. Rounded down, so that at the very instant when a
// request is due it is there.
Ticks span_of_one(const RateLimit& limit) {
  return ticks(limit.window) / limit.max;
}

Instant instant_of_call(const RateLimit& limit, const RateState& state, Instant now) {
  now = std::clamp(now, -latest, latest);
  const Instant before = std::clamp(state.counted_at, -latest, latest);
  const bool overtaken = now < before && before - now <= std::min(limit.window, longest_overtaking);
  return overtaken ? before : now;
}

// The span until the bucket is full, as the limit in force sees it: requests counted under another
// limit stay that many requests, one that is partly given back counts whole.
Ticks debt_of(const RateState& state, const RateLimit& limit, Instant now) {
  const Instant full_at = std::clamp(state.full_at, -latest, latest + longest_rate_window);
  Ticks debt = ticks(full_at) + static_cast<Ticks>(state.fraction) - ticks(now);
  if (debt <= 0) return 0;
  const Ticks one = span_of_one(limit);
  if (state.filled_under != limit && state.filled_under.max > 0) {
    const Ticks old_one = span_of_one(state.filled_under);
    const Ticks requests = std::min<Ticks>((debt + old_one - 1) / old_one, limit.max);
    debt = requests * one;
  }
  return std::min(debt, one * limit.max);
}

void store(RateState& state, const RateLimit& limit, Instant now, Ticks debt) {
  const Ticks full_at = ticks(now) + debt;
  state.full_at = microseconds_down(full_at);
  state.fraction = static_cast<std::uint64_t>(full_at & tick_mask);
  state.counted_at = now;
  state.filled_under = limit;
}

}  // namespace

const char* to_string(RateReason reason) {
  switch (reason) {
    case RateReason::ok:
      return "ok";
    case RateReason::rate_limited:
      return "rate_limited";
    case RateReason::cost_exceeds_limit:
      break;
  }
  return "cost_exceeds_limit";
}

RateDecision take(const RateLimit& limit, RateState& state, std::int64_t cost,
                  Instant now) noexcept {
  now = instant_of_call(limit, state, now);
  const Ticks one = span_of_one(limit);
  Ticks debt = debt_of(state, limit, now);
  const Ticks room = one * limit.max - debt;
  RateDecision decision;
  decision.limit = limit.max;
  if (cost > limit.max) {
    decision.reason = RateReason::cost_exceeds_limit;
  } else if (const Ticks missing = one * cost - room; missing > 0) {
    decision.reason = RateReason::rate_limited;
    decision.retry_after = microseconds_up(missing);
  } else {
    decision.allowed = true;
    decision.retry_after = 0;
    debt += one * cost;
    store(state, limit, now, debt);
  }
  decision.remaining = static_cast<std::int64_t>((one * limit.max - debt) / one);
  decision.resets_at = now + microseconds_up(debt);
  return decision;
}

}  // namespace purser
