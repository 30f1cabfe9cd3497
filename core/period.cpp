// Periods: calendar arithmetic on the wall clock, then conversion to instants. Owns no zone rules;
// the caller's function answers what the offset is. Results beyond 64 bits saturate to
// begin_of_time and end_of_time.
#include "core/period.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>

namespace purser {
namespace {

using Wide = __int128;  // sums and products of instants, before they are saturated

constexpr std::int64_t microseconds_per_day = 86'400 * microseconds_per_second;
constexpr std::int64_t days_per_week = 7;
constexpr std::int64_t months_per_year = 12;
// The Gregorian calendar repeats after 400 years. Dates are computed within one cycle, because
// chrono::year ends at 32767 while an Instant reaches beyond the year 292000.
constexpr std::int64_t years_per_cycle = 400;
constexpr std::int64_t days_per_cycle = 146'097;
// More months than an Instant can span; keeps boundary numbers from overflowing.
constexpr std::int64_t farthest_month = 10'000'000;
constexpr std::chrono::sys_days epoch =
    std::chrono::year{2000} / std::chrono::January / std::chrono::day{1};

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

std::int64_t saturate(Wide value) {
  if (value > end_of_time) return end_of_time;
  if (value < begin_of_time) return begin_of_time;
  return static_cast<std::int64_t>(value);
}

bool is_endless(std::int64_t time) {
  return time == begin_of_time || time == end_of_time;
}

// A month counted from January 2000, and a day in it.
struct Date {
  std::int64_t month = 0;
  unsigned day = 1;
};

Date date_of(std::int64_t days) {
  const std::int64_t cycle = floor_div(days, days_per_cycle);
  const std::chrono::year_month_day ymd{epoch + std::chrono::days{days - cycle * days_per_cycle}};
  const std::int64_t year = static_cast<int>(ymd.year()) - 2000 + cycle * years_per_cycle;
  return {year * months_per_year + static_cast<unsigned>(ymd.month()) - 1,
          static_cast<unsigned>(ymd.day())};
}

// Days from 2000-01-01 to the date; a day the month does not have becomes the month's last.
std::int64_t clamped_days(const Date& date) {
  constexpr std::int64_t months_per_cycle = years_per_cycle * months_per_year;
  const std::int64_t cycle = floor_div(date.month, months_per_cycle);
  const std::int64_t month = date.month - cycle * months_per_cycle;
  const std::chrono::year_month ym{
      std::chrono::year{static_cast<int>(2000 + month / months_per_year)},
      std::chrono::month{static_cast<unsigned>(month % months_per_year + 1)}};
  const std::chrono::year_month_day_last last = ym / std::chrono::last;
  const std::chrono::day day = std::min(std::chrono::day{date.day}, last.day());
  return (std::chrono::sys_days{ym / day} - epoch).count() + cycle * days_per_cycle;
}

std::int64_t months_in(Interval interval) {
  return interval == Interval::year ? months_per_year : 1;
}

std::int64_t microseconds_in(Interval interval) {
  return interval == Interval::week ? days_per_week * microseconds_per_day : microseconds_per_day;
}

bool counts_months(Interval interval) {
  return interval == Interval::month || interval == Interval::year;
}

LocalTime months_after(LocalTime anchor, std::int64_t months) {
  const std::int64_t days = floor_div(anchor, microseconds_per_day);
  const Wide time_of_day = Wide{anchor} - Wide{days} * microseconds_per_day;
  Date date = date_of(days);
  date.month += months;
  return saturate(Wide{clamped_days(date)} * microseconds_per_day + time_of_day);
}

LocalTime local_boundary(const Schedule& schedule, std::int64_t n) {
  if (!counts_months(schedule.interval))
    return saturate(schedule.anchor + Wide{n} * microseconds_in(schedule.interval));
  const Wide months = Wide{n} * months_in(schedule.interval);
  if (months > farthest_month) return end_of_time;
  if (months < -farthest_month) return begin_of_time;
  return months_after(schedule.anchor, static_cast<std::int64_t>(months));
}

// The boundary number near t: exact but for a time of day, a clamped month or a change of clocks.
std::int64_t estimated_number(const Schedule& schedule, Instant t, const ZoneOffset& zone) {
  const LocalTime local = to_local(t, zone);
  if (counts_months(schedule.interval)) {
    const Date date = date_of(floor_div(local, microseconds_per_day));
    const Date anchor = date_of(floor_div(schedule.anchor, microseconds_per_day));
    return floor_div(date.month - anchor.month, months_in(schedule.interval));
  }
  const Wide length = microseconds_in(schedule.interval);
  const Wide distance = Wide{local} - schedule.anchor;
  return static_cast<std::int64_t>(distance / length - (distance % length < 0));
}

}  // namespace

LocalTime to_local(Instant instant, const ZoneOffset& zone) {
  if (is_endless(instant)) return instant;
  return saturate(Wide{instant} + Wide{zone(instant)} * microseconds_per_second);
}

// No zone is a day away from UTC, so the offsets a day before and a day after `local` (read as if
// it were UTC) are those on either side of a change of clocks near it. In a gap and in a fold alike
// the rule picks the offset before the change; after the change only the later offset fits.
Instant to_instant(LocalTime local, const ZoneOffset& zone) {
  if (is_endless(local)) return local;
  const auto with_offset = [local](std::int32_t offset) {
    return saturate(Wide{local} - Wide{offset} * microseconds_per_second);
  };
  const auto offset_at = [&zone](Wide t) {
    return zone(static_cast<Instant>(std::clamp<Wide>(t, begin_of_time + 1, end_of_time - 1)));
  };
  const std::int32_t before = offset_at(Wide{local} - microseconds_per_day);
  const std::int32_t after = offset_at(Wide{local} + microseconds_per_day);
  const Instant first = with_offset(before);
  if (before == after || offset_at(first) == before) return first;
  const Instant second = with_offset(after);
  return offset_at(second) == after ? second : first;
}

bool parse_interval(std::string_view text, Interval& interval) {
  for (Interval known :
       {Interval::day, Interval::week, Interval::month, Interval::year, Interval::lifetime}) {
    if (text != to_string(known)) continue;
    interval = known;
    return true;
  }
  return false;
}

const char* to_string(Interval interval) {
  switch (interval) {
    case Interval::day:
      return "day";
    case Interval::week:
      return "week";
    case Interval::month:
      return "month";
    case Interval::year:
      return "year";
    case Interval::lifetime:
      break;
  }
  return "lifetime";
}

Schedule calendar(Interval interval) {
  // 2000-01-01 begins a day, a month and a year; the first Monday after it is the 3rd.
  return {interval, interval == Interval::week ? 2 * microseconds_per_day : 0};
}

Schedule anchored(Interval interval, LocalTime anchor) {
  return {interval, anchor};
}

Instant boundary(const Schedule& schedule, std::int64_t n, const ZoneOffset& zone) {
  if (schedule.interval == Interval::lifetime) return n <= 0 ? begin_of_time : end_of_time;
  return to_instant(local_boundary(schedule, n), zone);
}

Period period_at(const Schedule& schedule, Instant t, const ZoneOffset& zone) {
  if (schedule.interval == Interval::lifetime) return {};
  // end_of_time itself lies in no half-open period; the last one stands for it.
  const Instant inside = std::min(t, end_of_time - 1);

  std::int64_t n = estimated_number(schedule, inside, zone);
  Instant start = boundary(schedule, n, zone);
  while (start > inside) start = boundary(schedule, --n, zone);
  // Repeats at most a few times: a day that a zone skipped is an empty period to step over.
  Instant end = boundary(schedule, n + 1, zone);
  while (end <= inside) {
    start = end;
    end = boundary(schedule, ++n + 1, zone);
  }
  return {start, end, n};
}

}  // namespace purser
