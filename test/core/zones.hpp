// Zones as lists of clock changes, written from their rules, so that the tests of periods need no
// time zone database.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/period.hpp"

namespace purser::test {

struct ClockChange {
  Instant at;
  std::int32_t offset;  // from then on, in seconds
};

struct Zone {
  std::string name;
  std::int32_t first_offset;
  std::vector<ClockChange> changes;  // in order

  std::int32_t offset_at(Instant t) const;
  ZoneOffset offset() const {
    return [this](Instant t) { return offset_at(t); };
  }
};

// Daylight saving by today's rules from 2010 to 2039, standard time before and after.
const Zone& utc();
const Zone& kolkata();    // +05:30, no changes
const Zone& new_york();   // gap and fold at 02:00
const Zone& berlin();     // changes at 01:00 UTC
const Zone& havana();     // gap at midnight: some days begin at 01:00
const Zone& lord_howe();  // half an hour of daylight saving
const Zone& apia();       // 2011-12-30 did not happen
const std::vector<const Zone*>& all_zones();

// 2024-03-31 02:30:00 as microseconds since 2000-01-01: on the wall clock, or in UTC.
LocalTime at(int year, unsigned month, unsigned day, int hour = 0, int minute = 0, int second = 0);

}  // namespace purser::test
