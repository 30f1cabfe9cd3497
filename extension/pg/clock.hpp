// The one source of time, and the zones it is read in.
#pragma once

#include <string_view>

#include "core/period.hpp"
#include "extension/pg/guard.hpp"

namespace purser::pg {

// The time of a call: the clock, or what a superuser's test has set in `purser.now`.
// A call reads it once and passes it on.
Instant now();

void define_clock_setting();

// The offsets of a named zone ("UTC", "Asia/Tokyo"); PU014 for a zone the server does not know.
ZoneOffset zone(std::string_view name);

}  // namespace purser::pg
