// Reading rate limits from plan documents, and what they come to for an account.
#include "core/rate_plan.hpp"

#include <algorithm>

namespace purser {
namespace {

constexpr std::size_t longest_scope = 63;

// What can stand in a log line, a metric or a header as it is.
bool is_scope(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.:/").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= longest_scope &&
         std::all_of(name.begin(), name.end(), fits);
}

// Microseconds of one unit; 0 for a unit that is not known.
std::int64_t unit_span(std::string_view unit) {
  if (unit == "second") return 1'000'000;
  if (unit == "minute") return 60'000'000;
  if (unit == "hour") return 3'600'000'000;
  return unit == "day" ? microseconds_per_day : 0;
}

void read_max(const Json& object, const Place& place, RateLimit& limit) {
  const Place here = place.field("max");
  const Json* value = given(object, "max");
  if (!value) return here.missing();
  int max = 0;
  read_integer(*value, 1, static_cast<int>(most_requests), here, max);
  limit.max = max;
}

void read_window(const Json& object, const Place& place, RateLimit& limit) {
  const Place here = place.field("per");
  const Json* per = given(object, "per");
  if (!per) return here.missing();
  if (per->type != JsonType::string) return here.wrong_kind("a unit of time", *per);
  const std::int64_t unit = unit_span(per->text);
  if (unit == 0)
    return here.report("invalid_interval",
                       "must be second, minute, hour or day, not " + shown(*per));
  int every = 1;
  if (const Json* value = given(object, "every"))
    read_integer(*value, 1, static_cast<int>(longest_rate_window / unit), place.field("every"),
                 every);
  limit.window = unit * every;
}

void read_rate_limit(const Json& value, const Place& place, std::optional<RateLimit>& limit) {
  limit.reset();
  if (value.type == JsonType::null) return;
  if (value.type != JsonType::object)
    return place.wrong_kind("an object, or null for unlimited", value);
  allow_only({"max", "per", "every"}, value, place);
  limit.emplace();
  read_max(value, place, *limit);
  read_window(value, place, *limit);
}

void read_rate_limits(const Json& document, const Place& place, RatePlan& plan) {
  const Json* value = given(document, "rate_limits");
  if (!value) return;
  const Place here = place.field("rate_limits");
  if (value->type != JsonType::object) return here.wrong_kind("an object", *value);
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    const std::string& scope = value->names[i];
    if (!is_scope(scope))
      here.field(scope).report("invalid_scope",
                               "must be 1 to 63 letters, digits or any of _ - . : /");
    else
      read_rate_limit(value->items[i], here.field(scope), plan.limits[scope]);
  }
}

void read_multiplier(const Json& document, const Place& place, RatePlan& plan) {
  const Json* value = given(document, "rate_multiplier");
  if (!value) return;
  const Place here = place.field("rate_multiplier");
  const std::optional<Amount> multiplier = read_amount(*value, here);
  if (!multiplier) return;
  if (multiplier->is_positive() && multiplier->micros() <= largest_rate_multiplier * Amount::unit)
    plan.multiplier = *multiplier;
  else
    here.report("out_of_range", "must be above 0 and at most " +
                                    std::to_string(largest_rate_multiplier) + ", not " +
                                    shown(*value));
}

}  // namespace

void read_rate_plan(const Json& document, const Place& place, RatePlan& plan) {
  read_rate_limits(document, place, plan);
  read_multiplier(document, place, plan);
}

std::optional<RateLimit> limit_of(const RatePlan& plan, const RatePlan& default_plan,
                                  std::string_view scope) {
  auto written = plan.limits.find(scope);
  if (written == plan.limits.end()) {
    written = default_plan.limits.find(scope);
    if (written == default_plan.limits.end()) return std::nullopt;
  }
  if (!written->second) return std::nullopt;
  RateLimit limit = *written->second;
  const auto scaled = static_cast<__int128>(limit.max) * plan.multiplier.micros() / Amount::unit;
  limit.max = std::max<std::int64_t>(1, static_cast<std::int64_t>(scaled));
  return limit;
}

}  // namespace purser
