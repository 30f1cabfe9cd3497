// Rate limits: may this request pass now. The generic cell rate algorithm: a bucket remembers one
// instant, when it will be full again, and from that follows what remains. States come in,
// decisions go out; no clock, no storage, and nothing here can fail.
//
// Promise: in any stretch of time d, at most max + d × max / window requests pass. So at most `max`
// pass at once, and afterwards one each window / max.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <optional>

#include "core/period.hpp"

namespace purser {

// At most `max` requests, given back evenly over `window` microseconds.
struct RateLimit {
  std::int64_t max = 0;
  std::int64_t window = 0;
  bool operator==(const RateLimit&) const = default;
};

inline constexpr std::int64_t microseconds_per_day = 86'400'000'000;
inline constexpr std::int64_t most_requests = 2'147'483'647;  // as a plan or a caller writes it
inline constexpr std::int64_t largest_rate_multiplier = 1'000'000;  // what a plan may scale it by
inline constexpr std::int64_t longest_rate_window = 366 * microseconds_per_day;

// What is remembered of a bucket. Plain data: it lives in shared memory and in table rows.
struct RateState {
  Instant full_at = begin_of_time;     // when everything is given back; in the past it is full
  std::uint64_t fraction = 0;          // of that microsecond, in 2^-64
  Instant counted_at = begin_of_time;  // when the last request passed
  RateLimit filled_under;              // the limit its requests were counted by

  // A full bucket is as good as none: forgetting it changes no decision.
  bool is_full(Instant now) const { return full_at < now || (full_at == now && fraction == 0); }
};

enum class RateReason { ok, rate_limited, cost_exceeds_limit };

const char* to_string(RateReason reason);

struct RateDecision {
  bool allowed = false;
  RateReason reason = RateReason::ok;
  std::int64_t limit = 0;
  std::int64_t remaining = 0;               // after this request, where it passed
  std::optional<std::int64_t> retry_after;  // microseconds; 0 when it passed, absent for never
  Instant resets_at = 0;                    // when the whole limit is there again
};

// Decides whether a request of `cost` (>= 1) passes at `now`, and counts it in the state when it
// does. A refusal leaves the state as it was. Requests counted under another limit stay counted.
// Callers read their clocks before they reach the bucket: one who was overtaken counts at the
// instant of the one before. A clock that was set back gives nothing twice, and makes nobody wait
// longer than two windows.
RateDecision take(const RateLimit& limit, RateState& state, std::int64_t cost,
                  Instant now) noexcept;

}  // namespace purser
