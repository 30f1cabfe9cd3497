#include "core/rate_plan.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/plan.hpp"

namespace purser {
namespace {

using Found = std::multiset<std::pair<std::string, std::string>>;

Found violations_of(const std::string& fields) {
  PlanVersion version;
  Found found;
  for (const Violation& v : read_plan(R"({"name": "x", )" + fields + "}", {}, version))
    found.emplace(v.path, v.rule);
  return found;
}

RatePlan plan_with(const std::string& fields) {
  PlanVersion version;
  EXPECT_TRUE(read_plan(R"({"name": "x", )" + fields + "}", {}, version).empty()) << fields;
  return version.rates;
}

constexpr std::int64_t minute = 60'000'000;

TEST(RatePlan, ReadsWhatItSays) {
  const RatePlan plan = plan_with(R"("rate_limits": {
    "api": {"max": 60, "per": "minute"}, "jobs:all": {"max": 5, "per": "day", "every": 30},
    "search": {"max": 1, "per": "second"}, "login": {"max": 10, "per": "hour"}, "pages": null},
    "rate_multiplier": 2.5)");
  EXPECT_EQ(plan.limits.at("api"), (RateLimit{60, minute}));
  EXPECT_EQ(plan.limits.at("jobs:all"), (RateLimit{5, 30 * microseconds_per_day}));
  EXPECT_EQ(plan.limits.at("search"), (RateLimit{1, 1'000'000}));
  EXPECT_EQ(plan.limits.at("login"), (RateLimit{10, 60 * minute}));
  EXPECT_EQ(plan.limits.at("pages"), std::nullopt);
  EXPECT_EQ(plan.multiplier, Amount::parse("2.5"));
  EXPECT_EQ(plan_with(R"("rate_limits": null)").multiplier, Amount::parse("1"));
}

TEST(RatePlan, APlanThatSaysNothingTakesTheDefaultTimesItsOwnFactor) {
  const RatePlan free = plan_with(
      R"("rate_limits": {"api": {"max": 60, "per": "minute"}, "pages": null},
         "rate_multiplier": 3)");
  const RatePlan pro =
      plan_with(R"("rate_limits": {"search": {"max": 7, "per": "minute"}}, "rate_multiplier": 5)");
  EXPECT_EQ(limit_of(pro, free, "api"), (RateLimit{300, minute})) << "not times the default's";
  EXPECT_EQ(limit_of(pro, free, "search"), (RateLimit{35, minute}));
  EXPECT_EQ(limit_of(free, free, "api"), (RateLimit{180, minute}));
  EXPECT_EQ(limit_of(pro, free, "pages"), std::nullopt) << "unlimited as written";
  EXPECT_EQ(limit_of(free, free, "search"), std::nullopt) << "limited by neither of the two";
}

TEST(RatePlan, AScaledLimitIsRoundedDownAndNeverZero) {
  const RatePlan base = plan_with(R"("rate_limits": {"api": {"max": 10, "per": "minute"},
                                                     "all": {"max": 2147483647, "per": "day"}})");
  EXPECT_EQ(limit_of(plan_with(R"("rate_multiplier": 0.39)"), base, "api")->max, 3);
  EXPECT_EQ(limit_of(plan_with(R"("rate_multiplier": 0.000001)"), base, "api")->max, 1);
  EXPECT_EQ(limit_of(plan_with(R"("rate_multiplier": 1000000)"), base, "all")->max,
            2'147'483'647'000'000);
}

TEST(RatePlan, EveryViolationIsReportedAtOnce) {
  EXPECT_EQ(violations_of(R"("rate_multiplier": 0, "rate_limits": {
              "": {"max": 1, "per": "day"}, "two words": null, "api": 60, "b": {}, "c": {
              "max": 0, "per": "fortnight", "burst": 3}, "d": {"max": 1.5, "per": 60},
              "e": {"max": 2147483648, "per": "day", "every": 367},
              "f": {"max": 1, "per": "second", "every": 0}})"),
            (Found{{"rate_multiplier", "out_of_range"},
                   {"rate_limits.", "invalid_scope"},
                   {"rate_limits.two words", "invalid_scope"},
                   {"rate_limits.api", "wrong_kind"},
                   {"rate_limits.b.max", "missing_field"},
                   {"rate_limits.b.per", "missing_field"},
                   {"rate_limits.c.max", "out_of_range"},
                   {"rate_limits.c.per", "invalid_interval"},
                   {"rate_limits.c.burst", "unknown_field"},
                   {"rate_limits.d.max", "not_an_integer"},
                   {"rate_limits.d.per", "wrong_kind"},
                   {"rate_limits.e.max", "out_of_range"},
                   {"rate_limits.e.every", "out_of_range"},
                   {"rate_limits.f.every", "out_of_range"}}));
  EXPECT_EQ(violations_of(R"("rate_limits": [])"), (Found{{"rate_limits", "wrong_kind"}}));
  for (const char* value : {"-1", "0.0000001", "1000000.000001", "1e9"})
    EXPECT_EQ(violations_of(std::string(R"("rate_multiplier": )") + value),
              (Found{{"rate_multiplier", "out_of_range"}}))
        << value;
  EXPECT_EQ(violations_of(R"("rate_multiplier": "5")"), (Found{{"rate_multiplier", "wrong_kind"}}));
}

}  // namespace
}  // namespace purser
