// Time and zones from the server.
#include <stdexcept>
#include <string>

#include "core/error.hpp"
#include "extension/pg/clock.hpp"

extern "C" {
#include "pgtime.h"
}

namespace purser::pg {

namespace {

// The setting as typed. Only a superuser can change it: whoever sets the time decides when a quota
// starts again.
char* now_setting = nullptr;

constexpr pg_time_t unix_seconds_at_epoch = 946'684'800;  // 2000-01-01 00:00 UTC

pg_time_t to_unix_seconds(Instant instant) {
  Instant seconds = instant / microseconds_per_second;
  if (instant % microseconds_per_second < 0) --seconds;
  return seconds + unix_seconds_at_epoch;
}

bool check_now(char** value, void**, GucSource) {
  if ((*value)[0] == '\0' || !IsTransactionState()) return true;
  DirectFunctionCall3(timestamptz_in, CStringGetDatum(*value), ObjectIdGetDatum(InvalidOid),
                      Int32GetDatum(-1));
  return true;
}

}  // namespace

void define_clock_setting() {
  DefineCustomStringVariable(
      "purser.now", "Time purser decides by, for tests; empty for the clock.", nullptr,
      &now_setting, "", PGC_SUSET, GUC_NOT_IN_SAMPLE, check_now, nullptr, nullptr);
}

Instant now() {
  if (now_setting == nullptr || now_setting[0] == '\0') return GetCurrentTimestamp();
  return guarded([] {
    return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(now_setting),
                                                   ObjectIdGetDatum(InvalidOid),
                                                   Int32GetDatum(-1)));
  });
}

ZoneOffset zone(std::string_view name) {
  const std::string spelled(name);
  const char* text = spelled.c_str();
  pg_tz* zone = guarded([&] { return pg_tzset(text); });
  if (zone == nullptr)
    throw Error(sqlstate::invalid_argument, "unknown time zone \"" + spelled + "\"", {},
                "Use a name from the view pg_timezone_names, such as Europe/Berlin.");
  return [zone](Instant instant) {
    const pg_time_t seconds = to_unix_seconds(instant);
    const struct pg_tm* local = pg_localtime(&seconds, zone);
    return local == nullptr ? 0 : static_cast<std::int32_t>(local->tm_gmtoff);
  };
}

}  // namespace purser::pg
