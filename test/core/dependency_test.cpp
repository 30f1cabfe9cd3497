// Dependencies between features: what may be declared, and what a plan must then give.
#include "core/dependency.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/display.hpp"

namespace purser {
namespace {

using Found = std::set<std::pair<std::string, std::string>>;  // path, rule
using Declarations = std::vector<std::pair<const char*, std::string>>;

Found found(const Violations& violations) {
  Found result;
  for (const Violation& violation : violations) result.emplace(violation.path, violation.rule);
  return result;
}

FeatureCatalog declared(const Declarations& declarations) {
  FeatureCatalog catalog;
  for (const auto& [code, json] : declarations) {
    Feature feature;
    EXPECT_EQ(found(read_feature(code, json, feature)), Found()) << code;
    catalog.emplace(code, feature);
  }
  return catalog;
}

const Declarations studio = {
    {"audio_pipeline",
     R"({"kind": "choice", "choices": ["plain", "auphonic", "dolby"], "default": "plain"})"},
    {"filler_removal", R"({"kind": "switch", "requires": {"audio_pipeline": "auphonic"}})"},
    {"loudness", R"({"kind": "number", "default": 0,
                     "requires": {"audio_pipeline": ["auphonic", "dolby"]}})"},
    {"minutes", R"({"kind": "quota", "per": "month"})"},
    {"exports", R"({"kind": "quota", "requires": {"minutes": {"minimum": 99.5}}})"},
    {"tone", R"({"kind": "choice", "choices": ["dry", "warm"], "default": "dry",
                 "requires": {"filler_removal": true, "loudness": {"minimum": 0.5}}})"},
};

Violations plan_violations(const std::string& features) {
  PlanVersion plan;
  return read_plan(R"({"name": "x", "features": )" + features + "}", declared(studio), plan);
}

TEST(Dependency, APlanGivesWhatItsFeaturesNeed) {
  for (const char* right :
       {"{}", R"({"filler_removal": false, "exports": 0, "loudness": 0, "tone": "dry"})",
        R"({"filler_removal": true, "audio_pipeline": "auphonic"})",
        R"({"loudness": 1, "audio_pipeline": "dolby"})", R"({"exports": 1, "minutes": 100})",
        R"({"exports": null, "minutes": null})",
        R"({"tone": "warm", "filler_removal": true, "loudness": 0.5,
            "audio_pipeline": "auphonic"})"})
    EXPECT_EQ(found(plan_violations(right)), Found()) << right;
}

TEST(Dependency, EveryMissingOneIsNamed) {
  const Violations violations = plan_violations(
      R"({"filler_removal": true, "loudness": 1, "exports": null, "minutes": 99, "tone": "warm"})");
  EXPECT_EQ(found(violations), (Found{{"features.filler_removal", "missing_dependency"},
                                      {"features.loudness", "missing_dependency"},
                                      {"features.exports", "missing_dependency"}}));
  std::set<std::string> messages;
  for (const Violation& violation : violations) messages.insert(violation.message);
  EXPECT_EQ(messages,
            (std::set<std::string>{
                "exports requires minutes >= 99.5, which is 99",
                "filler_removal requires audio_pipeline = auphonic, which is \"plain\"",
                "loudness requires audio_pipeline = one of auphonic, dolby, which is \"plain\""}));
  EXPECT_EQ(found(plan_violations(R"({"filler_removal": true, "audio_pipeline": "dolby"})")),
            (Found{{"features.filler_removal", "missing_dependency"}}));
  EXPECT_EQ(plan_violations(R"({"tone": "warm"})").size(), 2u) << "one for each need";
}

TEST(Dependency, RequirementsHaveAForm) {
  Feature feature;
  EXPECT_EQ(found(read_feature("a", R"({"kind": "switch", "requires": {
              "b": false, "c": 5, "d": [], "e": ["x", 1], "f": {}, "g": {"minimum": "1"},
              "h": {"minimum": 1, "maximum": 2}}})",
                               feature)),
            (Found{{"requires.b", "wrong_kind"},
                   {"requires.c", "wrong_kind"},
                   {"requires.d", "missing_field"},
                   {"requires.e[1]", "wrong_kind"},
                   {"requires.f.minimum", "missing_field"},
                   {"requires.g.minimum", "wrong_kind"},
                   {"requires.h.maximum", "unknown_field"}}));
  EXPECT_EQ(found(read_feature("a", R"({"kind": "switch", "requires": ["b"]})", feature)),
            (Found{{"requires", "wrong_kind"}}));
}

TEST(Dependency, TheCatalogIsCheckedAsAWhole) {
  EXPECT_EQ(found(check_dependencies(declared(studio))), Found());
  Declarations wrong = studio;
  wrong.push_back({"x", R"({"kind": "switch", "requires": {
      "teleport": true, "minutes": true, "filler_removal": "on", "loudness": "loud",
      "audio_pipeline": ["auphonic", "tape"]}})"});
  EXPECT_EQ(found(check_dependencies(declared(wrong))),
            (Found{{"x.requires.teleport", "unknown_feature"},
                   {"x.requires.minutes", "wrong_kind"},
                   {"x.requires.filler_removal", "wrong_kind"},
                   {"x.requires.loudness", "wrong_kind"},
                   {"x.requires.audio_pipeline", "not_a_choice"}}));
}

std::string needs(const char* other) {
  return std::string(R"({"kind": "switch", "requires": {")") + other + R"(": true}})";
}

TEST(Dependency, CirclesAreFoundOnceEach) {
  const Violations violations = check_dependencies(declared({{"a", needs("b")},
                                                             {"b", needs("c")},
                                                             {"c", needs("b")},
                                                             {"d", needs("d")},
                                                             {"e", needs("a")}}));
  EXPECT_EQ(found(violations),
            (Found{{"c.requires.b", "dependency_cycle"}, {"d.requires.d", "dependency_cycle"}}));
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].message, "b closes a circle: b -> c -> b");
}

TEST(Dependency, TwoWaysToOneFeatureAreNoCircle) {
  const std::string both = R"({"kind": "switch", "requires": {"b": true, "c": true}})";
  EXPECT_EQ(
      found(check_dependencies(declared(
          {{"a", both}, {"b", needs("d")}, {"c", needs("d")}, {"d", R"({"kind": "switch"})"}}))),
      Found());
}

TEST(Dependency, LongChainsNeedNoStack) {
  std::vector<std::string> names;
  for (int i = 0; i < 50'000; ++i) names.push_back("f" + std::to_string(i));
  FeatureCatalog catalog;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Feature feature;
    feature.code = names[i];
    feature.kind = FeatureKind::toggle;
    feature.needs.push_back({names[(i + 1) % names.size()], true, {}, {}});
    catalog.emplace(feature.code, feature);
  }
  EXPECT_EQ(check_dependencies(catalog).size(), 1u);
}

TEST(Display, SaysWhatAPlanGives) {
  const auto text = [](const char* declaration, const std::string& value) {
    Feature feature;
    EXPECT_EQ(found(read_feature("x", declaration, feature)), Found());
    FeatureValue read;
    EXPECT_EQ(found(read_feature_value(value, feature, feature.fallback, read)), Found());
    return display_text(feature, read);
  };
  const char* daily = R"({"kind": "quota", "per": "day"})";
  EXPECT_EQ(text(daily, "null"), "Unlimited");
  EXPECT_EQ(text(daily, "-1"), "Unlimited");
  EXPECT_EQ(text(daily, "0"), "Not included");
  EXPECT_EQ(text(daily, "50"), "50 a day");
  EXPECT_EQ(text(daily, R"({"quota": 2000, "per": "billing"})"), "2,000 a month");
  EXPECT_EQ(text(daily, R"({"quota": 1000000, "per": "billing_year"})"), "1,000,000 a year");
  EXPECT_EQ(text(R"({"kind": "quota", "per": "lifetime"})", "999"), "999 in total");
  EXPECT_EQ(text(R"({"kind": "switch"})", "true"), "Included");
  EXPECT_EQ(text(R"({"kind": "switch"})", "false"), "Not included");
  const char* storage = R"({"kind": "number", "default": 0, "unit": "GB"})";
  EXPECT_EQ(text(storage, "1234567.25"), "1,234,567.25 GB");
  EXPECT_EQ(text(storage, "-123456"), "-123,456 GB");
  EXPECT_EQ(text(storage, "-123"), "-123 GB");
  EXPECT_EQ(text(R"({"kind": "number", "default": 0})", "1.5"), "1.5");
  EXPECT_EQ(text(R"({"kind": "choice", "choices": ["auphonic"], "default": "auphonic"})",
                 R"("auphonic")"),
            "auphonic");
}

}  // namespace
}  // namespace purser
