// Periods tile time: every instant lies in exactly one, whatever the anchor, the calendar or the
// clocks do.
#include "core/period.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <optional>
#include <vector>

#include "random.hpp"
#include "zones.hpp"

namespace purser {
namespace {

using test::all_zones;
using test::at;
using test::ClockChange;
using test::Zone;

constexpr std::int64_t day_length = 86'400 * microseconds_per_second;
const std::vector<Interval> endless_intervals = {Interval::day, Interval::week, Interval::month,
                                                 Interval::year};

// The period around t, and its neighbours, checked against each other and against boundary().
void expect_tiled_around(const Schedule& schedule, Instant t, const Zone& zone) {
  const ZoneOffset offset = zone.offset();
  const Period period = period_at(schedule, t, offset);
  SCOPED_TRACE(zone.name + " " + to_string(schedule.interval) + " anchor " +
               std::to_string(schedule.anchor) + " t " + std::to_string(t));
  EXPECT_TRUE(period.contains(t));
  EXPECT_EQ(period.start, boundary(schedule, period.number, offset));
  EXPECT_EQ(period.end, boundary(schedule, period.number + 1, offset));
  EXPECT_EQ(period_at(schedule, period.start, offset), period) << "first instant";
  EXPECT_EQ(period_at(schedule, period.end - 1, offset), period) << "last instant";
  EXPECT_EQ(period_at(schedule, period.end, offset).start, period.end) << "no gap, no overlap";
  EXPECT_EQ(period_at(schedule, period.start - 1, offset).end, period.start);
}

TEST(Period, TilesTimeForEveryAnchorDayAndZone) {
  SEEDED_RANDOM(random);
  for (const Zone* zone : all_zones())
    for (Interval interval : endless_intervals)
      for (unsigned day = 1; day <= 31; ++day) {
        const LocalTime anchor =
            at(random.small(2009, 2025), 1, day) + random.between(0, day_length - 1);
        for (int i = 0; i < 20; ++i)
          expect_tiled_around(anchored(interval, anchor),
                              random.between(at(2005, 1, 1), at(2045, 1, 1)), *zone);
        if (HasFailure()) return;
      }
}

TEST(Period, TilesTimeAroundEveryClockChange) {
  SEEDED_RANDOM(random);
  for (const Zone* zone : all_zones())
    for (const ClockChange& change : zone->changes)
      for (Interval interval : endless_intervals) {
        // An anchor whose boundaries fall on the hours around the change.
        const LocalTime anchor = to_local(change.at, zone->offset()) +
                                 random.between(-90, 90) * 60 * microseconds_per_second -
                                 random.between(0, 60) * 7 * day_length;
        for (std::int64_t minutes = -180; minutes <= 180; minutes += 30)
          expect_tiled_around(anchored(interval, anchor),
                              change.at + minutes * 60 * microseconds_per_second, *zone);
        if (HasFailure()) return;
      }
}

TEST(Period, BoundariesNeverGoBack) {
  SEEDED_RANDOM(random);
  for (const Zone* zone : all_zones())
    for (int i = 0; i < 40; ++i) {
      const Schedule schedule =
          anchored(Interval::day, at(2010, 1, 1) + random.between(0, day_length - 1));
      Instant previous = boundary(schedule, -1, zone->offset());
      for (std::int64_t n = 0; n < 1500; ++n) {
        const Instant next = boundary(schedule, n, zone->offset());
        ASSERT_LE(previous, next) << zone->name << " day " << n;
        previous = next;
      }
    }
}

TEST(Period, AnchorOnThe31stComesBackAfterShortMonths) {
  const Schedule schedule = anchored(Interval::month, at(2023, 1, 31, 9, 30));
  const LocalTime expected[] = {at(2022, 12, 31, 9, 30), at(2023, 1, 31, 9, 30),
                                at(2023, 2, 28, 9, 30),  at(2023, 3, 31, 9, 30),
                                at(2023, 4, 30, 9, 30),  at(2023, 5, 31, 9, 30)};
  for (std::int64_t n = -1; n <= 4; ++n)
    EXPECT_EQ(boundary(schedule, n, test::utc().offset()), expected[n + 1]) << n;
  EXPECT_EQ(boundary(schedule, 13, test::utc().offset()), at(2024, 2, 29, 9, 30));
}

TEST(Period, AnchorOnALeapDayIs28FebruaryInCommonYears) {
  const Schedule schedule = anchored(Interval::year, at(2024, 2, 29));
  const ZoneOffset utc = test::utc().offset();
  EXPECT_EQ(boundary(schedule, 1, utc), at(2025, 2, 28));
  EXPECT_EQ(boundary(schedule, 3, utc), at(2027, 2, 28));
  EXPECT_EQ(boundary(schedule, 4, utc), at(2028, 2, 29));
  EXPECT_EQ(boundary(schedule, 76, utc), at(2100, 2, 28)) << "2100 is a common year";
  EXPECT_EQ(boundary(schedule, -24, utc), at(2000, 2, 29));
}

TEST(Period, CalendarPeriodsBeginAtMidnightMondayFirstAndNewYear) {
  const ZoneOffset utc = test::utc().offset();
  const Instant t = at(2024, 2, 29, 13);  // a Thursday
  EXPECT_EQ(period_at(calendar(Interval::day), t, utc).start, at(2024, 2, 29));
  EXPECT_EQ(period_at(calendar(Interval::week), t, utc).start, at(2024, 2, 26));
  EXPECT_EQ(period_at(calendar(Interval::month), t, utc).start, at(2024, 2, 1));
  EXPECT_EQ(period_at(calendar(Interval::month), t, utc).end, at(2024, 3, 1));
  EXPECT_EQ(period_at(calendar(Interval::year), t, utc).start, at(2024, 1, 1));
}

TEST(Period, PeriodIsHalfOpen) {
  const ZoneOffset utc = test::utc().offset();
  const Instant first = at(2024, 3, 1);
  EXPECT_EQ(period_at(calendar(Interval::month), first, utc).start, first);
  EXPECT_EQ(period_at(calendar(Interval::month), first - 1, utc).end, first);
}

TEST(Period, DaysFollowTheWallClock) {
  const ZoneOffset new_york = test::new_york().offset();
  const Period spring = period_at(calendar(Interval::day), at(2024, 3, 10, 12), new_york);
  EXPECT_EQ(spring.end - spring.start, 23 * 3600 * microseconds_per_second);
  const Period autumn = period_at(calendar(Interval::day), at(2024, 11, 3, 12), new_york);
  EXPECT_EQ(autumn.end - autumn.start, 25 * 3600 * microseconds_per_second);
  const Period half =
      period_at(calendar(Interval::day), at(2024, 4, 7, 1), test::lord_howe().offset());
  EXPECT_EQ(half.end - half.start, (24 * 60 + 30) * 60 * microseconds_per_second);
}

TEST(Period, DayThatAZoneSkippedIsEmpty) {
  const ZoneOffset apia = test::apia().offset();
  const Instant change = at(2011, 12, 30, 10);
  const Period before = period_at(calendar(Interval::day), change - 1, apia);
  const Period after = period_at(calendar(Interval::day), change, apia);
  EXPECT_EQ(before.end, change);
  EXPECT_EQ(after.start, change);
  EXPECT_EQ(after.number, before.number + 2);
}

TEST(Period, LifetimeIsOnePeriod) {
  const ZoneOffset utc = test::utc().offset();
  for (Instant t : {begin_of_time, Instant{-1}, Instant{0}, end_of_time - 1, end_of_time})
    EXPECT_EQ(period_at(calendar(Interval::lifetime), t, utc), Period{});
  EXPECT_EQ(boundary(calendar(Interval::lifetime), 0, utc), begin_of_time);
  EXPECT_EQ(boundary(calendar(Interval::lifetime), 1, utc), end_of_time);
}

TEST(Period, TilesTimeToBothEnds) {
  SEEDED_RANDOM(random);
  for (Interval interval : endless_intervals) {
    for (const Zone* zone : all_zones()) {
      const Schedule schedule =
          anchored(interval, at(2024, 1, 31) + random.between(0, day_length - 1));
      const ZoneOffset offset = zone->offset();
      const Period last = period_at(schedule, end_of_time, offset);
      EXPECT_EQ(last.end, end_of_time);
      EXPECT_TRUE(last.contains(end_of_time - 1));
      EXPECT_EQ(period_at(schedule, last.start - 1, offset).end, last.start);
      const Period first = period_at(schedule, begin_of_time, offset);
      EXPECT_EQ(first.start, begin_of_time);
      EXPECT_TRUE(first.contains(begin_of_time));
      EXPECT_EQ(period_at(schedule, first.end, offset).start, first.end);
      for (int i = 0; i < 50; ++i)
        expect_tiled_around(schedule, random.between(begin_of_time / 2, end_of_time / 2), *zone);
    }
  }
}

TEST(Period, BoundaryNumbersBeyondTimeSaturate) {
  const ZoneOffset utc = test::utc().offset();
  for (Interval interval : endless_intervals) {
    EXPECT_EQ(boundary(calendar(interval), std::numeric_limits<std::int64_t>::max(), utc),
              end_of_time);
    EXPECT_EQ(boundary(calendar(interval), std::numeric_limits<std::int64_t>::min(), utc),
              begin_of_time);
  }
}

TEST(Period, CalendarRepeatsAfter400Years) {
  const ZoneOffset utc = test::utc().offset();
  const Schedule schedule = anchored(Interval::month, at(2024, 1, 31));
  for (std::int64_t n = 0; n < 4800; ++n)
    for (std::int64_t cycle : {-700, -90, -5, 1, 80, 700})
      ASSERT_EQ(boundary(schedule, n + cycle * 4800, utc),
                boundary(schedule, n, utc) + cycle * 146'097 * day_length);
}

TEST(Period, IsFoundWithoutSteppingThroughTime) {
  int questions = 0;
  const ZoneOffset counting = [&questions](Instant t) {
    ++questions;
    return test::new_york().offset_at(t);
  };
  for (Interval interval : endless_intervals)
    for (Instant t : {begin_of_time, begin_of_time / 2, Instant{0}, end_of_time / 2, end_of_time}) {
      questions = 0;
      period_at(anchored(interval, at(2024, 1, 31, 23, 59)), t, counting);
      EXPECT_LE(questions, 17) << to_string(interval) << " " << t;
    }
}

// The rule of the header, applied to the zone's own list of changes.
Instant expected_instant(LocalTime local, const Zone& zone) {
  const auto reads = [&](Instant t) { return to_local(t, zone.offset()) == local; };
  std::vector<std::int32_t> offsets = {zone.first_offset};
  for (const ClockChange& change : zone.changes) offsets.push_back(change.offset);
  std::optional<Instant> earliest;
  for (std::int32_t offset : offsets) {
    const Instant t = local - offset * microseconds_per_second;
    if (reads(t) && (!earliest || t < *earliest)) earliest = t;
  }
  if (earliest) return *earliest;
  for (const ClockChange& change : zone.changes) {
    const std::int32_t before = zone.offset_at(change.at - 1);
    if (to_local(change.at - 1, zone.offset()) < local &&
        local < to_local(change.at, zone.offset()))
      return local - before * microseconds_per_second;
  }
  ADD_FAILURE() << "no instant for " << local;
  return 0;
}

TEST(ToInstant, ReadsGapsWithTheOffsetBeforeAndFoldsAsTheFirst) {
  SEEDED_RANDOM(random);
  for (const Zone* zone : all_zones())
    for (const ClockChange& change : zone->changes)
      for (int i = 0; i < 40; ++i) {
        const LocalTime local = change.at + change.offset * microseconds_per_second +
                                random.between(-30 * 60, 30 * 60) * 60 * microseconds_per_second;
        ASSERT_EQ(to_instant(local, zone->offset()), expected_instant(local, *zone))
            << zone->name << " " << local;
      }
}

TEST(ToInstant, NamedExamples) {
  const ZoneOffset berlin = test::berlin().offset();
  EXPECT_EQ(to_instant(at(2024, 3, 31, 2, 30), berlin), at(2024, 3, 31, 1, 30)) << "02:30 → 03:30";
  EXPECT_EQ(to_instant(at(2024, 10, 27, 2, 30), berlin), at(2024, 10, 27, 0, 30)) << "the first";
  EXPECT_EQ(to_instant(at(2024, 3, 10), test::havana().offset()), at(2024, 3, 10, 5));
  EXPECT_EQ(to_instant(end_of_time, berlin), end_of_time);
  EXPECT_EQ(to_instant(begin_of_time, berlin), begin_of_time);
}

TEST(Interval, NamesAreReadBack) {
  for (const char* name : {"day", "week", "month", "year", "lifetime"}) {
    Interval interval;
    ASSERT_TRUE(parse_interval(name, interval));
    EXPECT_STREQ(to_string(interval), name);
  }
  Interval interval;
  for (const char* name : {"", "Month", "billing", "months", "quarter"})
    EXPECT_FALSE(parse_interval(name, interval)) << name;
}

// The zones above are written by hand; where the system knows them it must agree.
TEST(Zones, AgreeWithTheSystem) {
  constexpr std::int64_t unix_2000 = 946'684'800;
  const char* before = std::getenv("TZ");
  const std::string restored = before ? before : "";
  int compared = 0;
  for (const Zone* zone : all_zones()) {
    setenv("TZ", zone->name.c_str(), 1);
    tzset();
    for (const ClockChange& change : zone->changes) {
      if (change.at > at(2024, 1, 1)) break;
      for (Instant t : {change.at - microseconds_per_second, change.at}) {
        const std::time_t seconds = t / microseconds_per_second + unix_2000;
        std::tm local{};
        localtime_r(&seconds, &local);
        if (std::string(local.tm_zone) == "UTC" || local.tm_gmtoff == 0) continue;  // not installed
        ++compared;
        // Cuba moved its dates until 2013; the rules here are those of today.
        if (zone == &test::havana() && t < at(2013, 6, 1)) continue;
        EXPECT_EQ(zone->offset_at(t), local.tm_gmtoff) << zone->name << " " << t;
      }
    }
  }
  before ? setenv("TZ", restored.c_str(), 1) : unsetenv("TZ");
  tzset();
  if (compared == 0) GTEST_SKIP() << "the system has no time zone database";
}

}  // namespace
}  // namespace purser
