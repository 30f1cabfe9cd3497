// Periods: half-open stretches of time that tile the time line. Boundary n is always computed from
// the original local anchor, never from boundary n - 1, and clamped to the length of its month; so
// an anchor on the 31st gives 28 February and then 31 March again.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>

namespace purser {

// Microseconds since 2000-01-01 00:00 UTC: PostgreSQL's own epoch, so nothing is converted.
using Instant = std::int64_t;
// Microseconds since 2000-01-01 00:00 on the wall clock of some zone.
using LocalTime = std::int64_t;

inline constexpr Instant microseconds_per_second = 1'000'000;
inline constexpr Instant end_of_time = std::numeric_limits<std::int64_t>::max();
inline constexpr Instant begin_of_time = std::numeric_limits<std::int64_t>::min();

// Whether an instant has come by `now`. The end of time never does.
constexpr bool is_past(Instant instant, Instant now) {
  return instant <= now && instant != end_of_time;
}

// Offset of the zone's wall clock from UTC in seconds (east positive) at an instant.
using ZoneOffset = std::function<std::int32_t(Instant)>;

LocalTime to_local(Instant instant, const ZoneOffset& zone);

// A wall-clock time in a gap (clocks went forward over it) is read with the offset before the gap,
// so 02:30 becomes 03:30. One in a fold (clocks went back over it) is its first occurrence.
Instant to_instant(LocalTime local, const ZoneOffset& zone);

// How often a quota starts again.
enum class Interval { day, week, month, year, lifetime };

// Reads "day", "week", "month", "year", "lifetime"; returns false for anything else.
bool parse_interval(std::string_view text, Interval& interval);
const char* to_string(Interval interval);

struct Period {
  Instant start = begin_of_time;  // first instant inside
  Instant end = end_of_time;      // first instant after
  std::int64_t number = 0;        // boundary number of `start`; negative before the anchor
  bool contains(Instant t) const { return start <= t && t < end; }
  bool operator==(const Period&) const = default;
};

struct Schedule {
  Interval interval = Interval::lifetime;
  LocalTime anchor = 0;  // boundary 0, on the wall clock
};

// Calendar periods: midnight, Monday, the 1st, 1 January.
Schedule calendar(Interval interval);
// Periods that begin at `anchor` and every month or year after it.
Schedule anchored(Interval interval, LocalTime anchor);

// Instant of boundary n. lifetime has the boundaries 0 (begin_of_time) and 1 (end_of_time).
Instant boundary(const Schedule& schedule, std::int64_t n, const ZoneOffset& zone);

// The one period that contains t.
Period period_at(const Schedule& schedule, Instant t, const ZoneOffset& zone);

}  // namespace purser
