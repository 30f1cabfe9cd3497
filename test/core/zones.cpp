// The rules of the zones that the tests of periods use.
#include "zones.hpp"

#include <algorithm>
#include <chrono>

namespace purser::test {
namespace {

constexpr std::int32_t hour = 3600;
constexpr int first_year = 2010, last_year = 2039;

// The nth Sunday of a month, at a wall-clock time read with `offset`; n = 0 is the last.
Instant sunday(int year, unsigned month, unsigned n, std::int32_t time_of_day,
               std::int32_t offset) {
  using namespace std::chrono;
  const year_month ym{std::chrono::year{year}, std::chrono::month{month}};
  const sys_days day = n == 0 ? sys_days{ym / Sunday[last]} : sys_days{ym / Sunday[n]};
  const auto seconds_since_epoch = (day - sys_days{2000y / 1 / 1}).count() * std::int64_t{86400};
  return (seconds_since_epoch + time_of_day - offset) * microseconds_per_second;
}

Instant utc_time(int year, unsigned month, unsigned day, int hours, int minutes = 0) {
  return at(year, month, day, hours, minutes);
}

Zone make_new_york() {
  Zone zone{"America/New_York", -5 * hour, {}};
  for (int y = first_year; y <= last_year; ++y) {
    zone.changes.push_back({sunday(y, 3, 2, 2 * hour, -5 * hour), -4 * hour});
    zone.changes.push_back({sunday(y, 11, 1, 2 * hour, -4 * hour), -5 * hour});
  }
  return zone;
}

Zone make_berlin() {
  Zone zone{"Europe/Berlin", hour, {}};
  for (int y = first_year; y <= last_year; ++y) {
    zone.changes.push_back({sunday(y, 3, 0, hour, 0), 2 * hour});
    zone.changes.push_back({sunday(y, 10, 0, hour, 0), hour});
  }
  return zone;
}

Zone make_havana() {
  Zone zone{"America/Havana", -5 * hour, {}};
  for (int y = first_year; y <= last_year; ++y) {
    zone.changes.push_back({sunday(y, 3, 2, 0, -5 * hour), -4 * hour});
    zone.changes.push_back({sunday(y, 11, 1, hour, -4 * hour), -5 * hour});
  }
  return zone;
}

Zone make_lord_howe() {
  constexpr std::int32_t standard = 10 * hour + hour / 2, daylight = 11 * hour;
  Zone zone{"Australia/Lord_Howe", daylight, {}};
  for (int y = first_year; y <= last_year; ++y) {
    zone.changes.push_back({sunday(y, 4, 1, 2 * hour, daylight), standard});
    zone.changes.push_back({sunday(y, 10, 1, 2 * hour, standard), daylight});
  }
  return zone;
}

Zone make_apia() {
  return {"Pacific/Apia",
          -11 * hour,
          {{utc_time(2010, 9, 26, 11), -10 * hour},
           {utc_time(2011, 4, 2, 14), -11 * hour},
           {utc_time(2011, 9, 24, 14), -10 * hour},
           {utc_time(2011, 12, 30, 10), 14 * hour},
           {utc_time(2012, 3, 31, 14), 13 * hour},
           {utc_time(2012, 9, 29, 14), 14 * hour},
           {utc_time(2013, 4, 6, 14), 13 * hour}}};
}

}  // namespace

std::int32_t Zone::offset_at(Instant t) const {
  const auto later = std::upper_bound(changes.begin(), changes.end(), t,
                                      [](Instant i, const ClockChange& c) { return i < c.at; });
  return later == changes.begin() ? first_offset : std::prev(later)->offset;
}

const Zone& utc() {
  static const Zone zone{"UTC", 0, {}};
  return zone;
}
const Zone& kolkata() {
  static const Zone zone{"Asia/Kolkata", 5 * hour + hour / 2, {}};
  return zone;
}
const Zone& new_york() {
  static const Zone zone = make_new_york();
  return zone;
}
const Zone& berlin() {
  static const Zone zone = make_berlin();
  return zone;
}
const Zone& havana() {
  static const Zone zone = make_havana();
  return zone;
}
const Zone& lord_howe() {
  static const Zone zone = make_lord_howe();
  return zone;
}
const Zone& apia() {
  static const Zone zone = make_apia();
  return zone;
}

const std::vector<const Zone*>& all_zones() {
  static const std::vector<const Zone*> zones = {&utc(),    &kolkata(),   &new_york(), &berlin(),
                                                 &havana(), &lord_howe(), &apia()};
  return zones;
}

LocalTime at(int year, unsigned month, unsigned day, int hours, int minutes, int seconds) {
  using namespace std::chrono;
  const sys_days date{std::chrono::year{year} / std::chrono::month{month} / std::chrono::day{day}};
  const std::int64_t days = (date - sys_days{2000y / 1 / 1}).count();
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * microseconds_per_second;
}

}  // namespace purser::test
