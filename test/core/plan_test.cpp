// Plan documents are read exactly, and everything that is wrong with one is said at once.
#include "core/plan.hpp"

#include <gtest/gtest.h>

#include <clocale>
#include <set>

#include "random.hpp"

namespace purser {
namespace {

using Found = std::set<std::pair<std::string, std::string>>;  // path, rule

Found found(const std::vector<Violation>& violations) {
  Found result;
  for (const Violation& violation : violations) {
    EXPECT_FALSE(violation.message.empty());
    result.emplace(violation.path, violation.rule);
  }
  return result;
}

Feature declared(const char* code, const char* json) {
  Feature feature;
  const std::vector<Violation> violations = read_feature(code, json, feature);
  for (const Violation& violation : violations)
    ADD_FAILURE() << code << ": " << violation.path << " " << violation.message;
  return feature;
}

FeatureCatalog catalog() {
  FeatureCatalog features;
  const std::pair<const char*, const char*> declarations[] = {
      {"chat_messages", R"({"kind": "quota", "name": "chat messages", "per": "day"})"},
      {"minutes", R"({"kind": "quota", "default": 10})"},
      {"auto_publish", R"({"kind": "switch"})"},
      {"audio_pipeline",
       R"({"kind": "choice", "choices": ["auphonic", "plain"], "default": "plain"})"},
      {"multiplier", R"({"kind": "number", "minimum": 0.5, "maximum": 4, "default": 1})"}};
  for (const auto& [code, json] : declarations) features.emplace(code, declared(code, json));
  return features;
}

Found violations_of_plan(const std::string& json) {
  PlanVersion version;
  return found(read_plan(json, catalog(), version));
}

// A plan that is right but for its features.
Found violations_of_features(const std::string& features) {
  return violations_of_plan(R"({"name": "Pro", "features": )" + features + "}");
}

PlanVersion plan_with(const std::string& features) {
  PlanVersion version;
  const std::string json = R"({"name": "Pro", "features": )" + features + "}";
  for (const Violation& violation : read_plan(json, catalog(), version))
    ADD_FAILURE() << violation.path << " " << violation.message;
  return version;
}

TEST(Plan, ReadsACompleteDocument) {
  PlanVersion version;
  version.code = "pro";
  version.version = 4;
  EXPECT_TRUE(read_plan(R"({
    "name": "Pro", "description": "For studios", "position": 3, "public": false,
    "prices": [{"interval": "month", "currency": "usd", "cents": 2999},
               {"interval": "year", "currency": "usd", "cents": 29900}],
    "features": {"chat_messages": 500,
                 "minutes": {"quota": 100, "per": "billing", "warn": 70, "critical": 95},
                 "auto_publish": true, "audio_pipeline": "auphonic", "multiplier": 1.5}})",
                        catalog(), version)
                  .empty());
  EXPECT_EQ(version.code, "pro");
  EXPECT_EQ(version.version, 4);
  EXPECT_EQ(version.name, "Pro");
  EXPECT_EQ(version.description, "For studios");
  EXPECT_EQ(version.position, 3);
  EXPECT_FALSE(version.is_public);
  ASSERT_EQ(version.prices.size(), 2u);
  EXPECT_EQ(version.prices[1].interval, Interval::year);
  EXPECT_EQ(version.prices[1].currency, "usd");
  EXPECT_EQ(version.prices[1].cents, 29900);
  EXPECT_FALSE(version.is_free());

  EXPECT_EQ(version.features.at("chat_messages").quota.limit, 500);
  EXPECT_EQ(version.features.at("chat_messages").quota.interval, Interval::day) << "as declared";
  const QuotaRule minutes = version.features.at("minutes").quota;
  EXPECT_EQ(minutes.limit, 100);
  EXPECT_TRUE(minutes.billing);
  EXPECT_EQ(minutes.interval, Interval::month);
  EXPECT_EQ(minutes.levels, (WarnLevels{70, 95}));
  EXPECT_TRUE(version.features.at("auto_publish").on);
  EXPECT_EQ(version.features.at("audio_pipeline").choice, "auphonic");
  EXPECT_EQ(version.features.at("multiplier").number, Amount::parse("1.5"));
}

TEST(Plan, AQuotaSaysWhatHappensAtItsEdges) {
  const QuotaRule rule = plan_with(R"({"minutes": {"quota": 100, "grace": 5, "rollover": 250,
                                                   "per_call": 15}})")
                             .features.at("minutes")
                             .quota;
  EXPECT_FALSE(rule.soft);
  EXPECT_EQ(rule.grace, 5);
  EXPECT_EQ(rule.rollover, 250);
  EXPECT_EQ(rule.per_call, 15);
  EXPECT_TRUE(plan_with(R"({"minutes": {"quota": 100, "overage": "soft"}})")
                  .features.at("minutes")
                  .quota.soft);
  const QuotaRule yearly =
      plan_with(R"({"minutes": {"quota": 1, "per": "billing_year"}})").features.at("minutes").quota;
  EXPECT_TRUE(yearly.billing);
  EXPECT_EQ(yearly.interval, Interval::year);
}

TEST(Plan, EdgesThatMakeNoSenseAreNamed) {
  EXPECT_EQ(violations_of_plan(R"({"name": "Pro", "features": {
    "minutes": {"quota": 100, "overage": "maybe", "grace": -1, "rollover": 1.5, "per_call": 0},
    "chat_messages": {"quota": 5, "overage": "soft", "grace": 2, "per": "lifetime", "rollover": 3}
  }})"),
            (Found{{"features.chat_messages.grace", "contradiction"},
                   {"features.chat_messages.rollover", "contradiction"},
                   {"features.minutes.overage", "not_a_choice"},
                   {"features.minutes.grace", "out_of_range"},
                   {"features.minutes.rollover", "not_an_integer"},
                   {"features.minutes.per_call", "out_of_range"}}));
}

TEST(Plan, PricesHaveTrialsAndPlansCanBeWithdrawn) {
  PlanVersion version;
  EXPECT_TRUE(read_plan(R"({"name": "Pro", "active": false, "prices": [
    {"interval": "month", "currency": "usd", "cents": 5, "trial_days": 14,
     "stripe_price_id": "price_1"}]})",
                        catalog(), version)
                  .empty());
  EXPECT_FALSE(version.active);
  EXPECT_TRUE(version.is_public);
  EXPECT_EQ(version.prices.at(0).trial_days, 14);
  EXPECT_EQ(version.prices.at(0).stripe_price_id, "price_1");
  EXPECT_EQ(violations_of_plan(R"({"name": "Pro", "active": 1, "prices": [
    {"interval": "month", "currency": "usd", "cents": 5, "trial_days": 731,
     "stripe_price_id": 7}]})"),
            (Found{{"active", "wrong_kind"},
                   {"prices[0].trial_days", "out_of_range"},
                   {"prices[0].stripe_price_id", "wrong_kind"}}));
}

TEST(Plan, EveryFeatureOfTheCatalogHasAValue) {
  const PlanVersion version = plan_with("{}");
  ASSERT_EQ(version.features.size(), 5u);
  EXPECT_EQ(version.features.at("chat_messages").quota.limit, 0);
  EXPECT_EQ(version.features.at("minutes").quota.limit, 10);
  EXPECT_FALSE(version.features.at("auto_publish").on);
  EXPECT_EQ(version.features.at("audio_pipeline").choice, "plain");
  EXPECT_EQ(version.features.at("multiplier").number, Amount::parse("1"));
  for (const auto& [code, value] : version.features)
    EXPECT_EQ(value.kind, catalog().at(code).kind) << code;
  EXPECT_TRUE(version.is_free()) << "no price is no price above zero";
}

TEST(Plan, NullAndMinusOneAreUnlimitedZeroIsNotIncluded) {
  for (const char* unlimited : {"null", "-1", R"({"quota": null})", R"({"quota": -1})"}) {
    const auto value =
        plan_with(std::string(R"({"minutes": )") + unlimited + "}").features.at("minutes");
    EXPECT_FALSE(value.quota.limit) << unlimited;
    EXPECT_EQ(value_json(value), "null");
  }
  EXPECT_EQ(plan_with(R"({"minutes": 0})").features.at("minutes").quota.limit, 0);
  EXPECT_EQ(plan_with(R"({"minutes": 9223372036854775807})").features.at("minutes").quota.limit,
            std::numeric_limits<std::int64_t>::max());
}

TEST(Plan, NumbersDoNotPassThroughADouble) {
  FeatureCatalog features;
  features.emplace("rate", declared("rate", R"({"kind": "number", "default": 0})"));
  PlanVersion version;
  // A double has no room for the last digits of either.
  for (const char* number : {"9223372036854.775807", "-9007199254740.993001", "0.000001", "0.1"}) {
    const std::string json = std::string(R"({"name": "x", "features": {"rate": )") + number + "}}";
    ASSERT_TRUE(read_plan(json, features, version).empty()) << number;
    EXPECT_EQ(value_json(version.features.at("rate")), number);
  }
}

TEST(Plan, DecimalPointIsReadUnderAnyLocale) {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  const char* comma = nullptr;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"})
    if (!comma) comma = std::setlocale(LC_NUMERIC, name);
  const PlanVersion version = plan_with(R"({"multiplier": 1.5})");
  std::setlocale(LC_NUMERIC, before.c_str());
  EXPECT_EQ(value_json(version.features.at("multiplier")), "1.5");
  if (!comma) GTEST_SKIP() << "the system has no locale with a decimal comma";
}

TEST(Plan, EveryViolationIsReportedAtOnce) {
  EXPECT_EQ(violations_of_plan(R"({
    "position": 1.5, "colour": "red",
    "prices": [{"interval": "fortnight", "currency": "USD", "cents": -1}, {}],
    "features": {"chat_messages": -5, "minutes": {"warn": 95, "per": "hour", "soft": 1},
                 "auto_publish": 1, "audio_pipeline": "loud", "multiplier": 5,
                 "teleport": 1}})"),
            (Found{{"name", "missing_field"},
                   {"position", "not_an_integer"},
                   {"colour", "unknown_field"},
                   {"prices[0].interval", "invalid_interval"},
                   {"prices[0].currency", "invalid_currency"},
                   {"prices[0].cents", "invalid_price"},
                   {"prices[1].interval", "missing_field"},
                   {"prices[1].currency", "missing_field"},
                   {"prices[1].cents", "missing_field"},
                   {"features.chat_messages", "negative_quota"},
                   {"features.minutes.quota", "missing_field"},
                   {"features.minutes.warn", "out_of_range"},
                   {"features.minutes.per", "invalid_interval"},
                   {"features.minutes.soft", "unknown_field"},
                   {"features.auto_publish", "wrong_kind"},
                   {"features.audio_pipeline", "not_a_choice"},
                   {"features.multiplier", "out_of_range"},
                   {"features.teleport", "unknown_feature"}}));
}

TEST(Plan, MessagesNameTheValue) {
  PlanVersion version;
  const auto violations = read_plan(
      R"({"name": "x", "features": {"minutes": -7, "multiplier": 0.0000001}})", catalog(), version);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].message, "minutes must be 0 or more, or null for unlimited, not -7");
  EXPECT_NE(violations[1].message.find("0.0000001"), std::string::npos);
}

TEST(Plan, QuotaMustBeAnIntegerInRange) {
  const std::pair<const char*, const char*> cases[] = {{"1.5", "not_an_integer"},
                                                       {"5.0", "not_an_integer"},
                                                       {"1e3", "not_an_integer"},
                                                       {"-2", "negative_quota"},
                                                       {"-99999999999999999999", "negative_quota"},
                                                       {"9223372036854775808", "out_of_range"},
                                                       {"99999999999999999999", "out_of_range"},
                                                       {"1e999", "out_of_range"},
                                                       {"true", "wrong_kind"},
                                                       {"\"5\"", "wrong_kind"},
                                                       {"[5]", "wrong_kind"}};
  for (const auto& [value, rule] : cases)
    EXPECT_EQ(violations_of_features(std::string(R"({"minutes": )") + value + "}"),
              (Found{{"features.minutes", rule}}))
        << value;
}

TEST(Plan, WarnLevelsArePercentsInOrder) {
  const std::pair<const char*, const char*> cases[] = {{R"("warn": 0)", "warn"},
                                                       {R"("warn": 95)", "warn"},
                                                       {R"("critical": 101)", "critical"},
                                                       {R"("warn": 50, "critical": 40)", "warn"}};
  for (const auto& [levels, field] : cases)
    EXPECT_EQ(violations_of_features(std::string(R"({"minutes": {"quota": 1, )") + levels + "}}"),
              (Found{{std::string("features.minutes.") + field, "out_of_range"}}))
        << levels;
}

TEST(Plan, DuplicateKeysAreFoundAtEveryDepth) {
  EXPECT_EQ(violations_of_plan(R"({"name": "a", "name": "b"})"),
            (Found{{"name", "duplicate_key"}}));
  EXPECT_EQ(violations_of_features(R"({"minutes": {"quota": 1, "quota": 2}})"),
            (Found{{"features.minutes.quota", "duplicate_key"}}));
  EXPECT_EQ(violations_of_features(R"({"minutes": 1, "minut\u0065s": 2})"),
            (Found{{"features.minutes", "duplicate_key"}}));
}

TEST(Plan, TheSamePriceTwiceIsInvalid) {
  EXPECT_EQ(violations_of_plan(R"({"name": "x", "prices": [
    {"interval": "month", "currency": "usd", "cents": 1},
    {"interval": "month", "currency": "eur", "cents": 1},
    {"interval": "month", "currency": "usd", "cents": 2}]})"),
            (Found{{"prices[2]", "invalid_price"}}));
}

TEST(Plan, MalformedDocumentsAreRefusedNotGuessed) {
  for (const char* json : {"", " ", "{", "}", "{\"name\": }", "{\"name\": \"x\"} x", "{'name': 1}",
                           "{\"name\": NaN}", "{\"name\": \"\xff\"}", "{\"name\": \"\\ud800\"}",
                           "{\"name\": \"a\\u0000b\"}", "{\"name\": 01}", "nul", "{\xc3"}) {
    const Found violations = violations_of_plan(json);
    ASSERT_EQ(violations.size(), 1u) << json;
    EXPECT_EQ(violations.begin()->second, "malformed_json") << json;
  }
  for (const char* json : {"[]", "3", "null", "\"plan\"", "true"})
    EXPECT_EQ(violations_of_plan(json), (Found{{"", "wrong_kind"}})) << json;
}

TEST(Plan, DepthAndSizeAreBounded) {
  const auto nested = [](std::size_t depth) {
    return R"({"name": "x", "features": {"minutes": )" + std::string(depth, '[') +
           std::string(depth, ']') + "}}";
  };
  EXPECT_EQ(violations_of_plan(nested(30)), (Found{{"features.minutes", "wrong_kind"}}));
  EXPECT_EQ(violations_of_plan(nested(31)).begin()->second, "too_deep");
  EXPECT_EQ(violations_of_plan(std::string(500'000, '[')).begin()->second, "too_deep");
  const std::string padding(1 << 20, ' ');
  EXPECT_EQ(violations_of_plan(padding + R"({"name": "x"})"), (Found{{"", "too_large"}}));
  const std::string exact = R"({"name": "x"})";
  EXPECT_EQ(violations_of_plan(padding.substr(exact.size()) + exact), Found{});
}

TEST(Plan, DamagedDocumentsAreReadOrRefusedAndNeverThrow) {
  SEEDED_RANDOM(random);
  const FeatureCatalog features = catalog();
  const std::string whole = R"({"name": "Pro é", "position": 3, "prices": [{"interval": "month",
    "currency": "usd", "cents": 2999}], "features": {"chat_messages": null, "multiplier": -1.5e3,
    "minutes": {"quota": 100, "warn": 80}, "auto_publish": true, "audio_pipeline": "plain"}})";
  const std::string letters = "{}[],:\"\\-+.019eEntf \x01\x80\xc3";
  for (int i = 0; i < 20'000; ++i) {
    std::string json = whole;
    for (int k = random.small(1, 4); k > 0; --k) {
      const auto place = static_cast<std::size_t>(random.between(0, std::ssize(json) - 1));
      const auto letter = static_cast<std::size_t>(random.between(0, std::ssize(letters) - 1));
      if (random.one_in(2))
        json[place] = letters[letter];
      else
        json.erase(place, static_cast<std::size_t>(random.small(1, 5)));
    }
    PlanVersion version;
    ASSERT_NO_THROW(read_plan(json, features, version)) << json;
    ASSERT_EQ(version.features.size(), features.size());
  }
}

TEST(Plan, NullFieldsCountAsLeftOut) {
  PlanVersion version;
  EXPECT_TRUE(read_plan(
                  R"({"name": "x", "description": null, "position": null, "public": null,
                      "prices": null, "features": null})",
                  catalog(), version)
                  .empty());
  EXPECT_TRUE(version.is_public);
}

Found violations_of_feature(const char* json) {
  Feature feature;
  return found(read_feature("thing", json, feature));
}

TEST(FeatureDeclaration, ReadsWhatItSays) {
  const Feature feature = declared("minutes", R"({
    "kind": "quota", "name": "minutes", "unit": "minute", "category": "credits & quotas",
    "description": "Audio processed", "per": "week", "default": {"quota": 5, "warn": 50}})");
  EXPECT_EQ(feature.code, "minutes");
  EXPECT_EQ(feature.unit, "minute");
  EXPECT_EQ(feature.category, "credits & quotas");
  EXPECT_EQ(feature.description, "Audio processed");
  EXPECT_EQ(feature.fallback.quota.limit, 5);
  EXPECT_EQ(feature.fallback.quota.interval, Interval::week);
  EXPECT_EQ(feature.fallback.quota.levels, (WarnLevels{50, 90}));
  EXPECT_EQ(declared("x", R"({"kind": "switch"})").name, "x") << "the code, until it is named";
}

TEST(FeatureDeclaration, EveryViolationIsReportedAtOnce) {
  EXPECT_EQ(violations_of_feature("{}"), (Found{{"kind", "missing_field"}}));
  EXPECT_EQ(violations_of_feature(R"({"kind": "gauge"})"), (Found{{"kind", "not_a_choice"}}));
  EXPECT_EQ(
      violations_of_feature(R"({"kind": "number", "name": 5, "per": "day"})"),
      (Found{{"name", "wrong_kind"}, {"per", "unknown_field"}, {"default", "missing_field"}}));
  EXPECT_EQ(
      violations_of_feature(R"({"kind": "number", "minimum": 3, "maximum": 2, "default": 3})"),
      (Found{{"minimum", "out_of_range"}, {"default", "out_of_range"}}));
  EXPECT_EQ(violations_of_feature(R"({"kind": "choice", "default": "a"})"),
            (Found{{"choices", "missing_field"}, {"default", "not_a_choice"}}));
  EXPECT_EQ(
      violations_of_feature(R"({"kind": "choice", "choices": ["a", "a", 5], "default": "a"})"),
      (Found{{"choices[1]", "duplicate_key"}, {"choices[2]", "wrong_kind"}}));
  EXPECT_EQ(violations_of_feature(R"({"kind": "quota", "per": "hour", "default": -9})"),
            (Found{{"per", "invalid_interval"}, {"default", "negative_quota"}}));
  EXPECT_EQ(violations_of_feature(R"({"kind": "switch", "default": null})"),
            (Found{{"default", "wrong_kind"}}));
}

// An override of one account: the value of one feature alone, over what its plan gives.
Found violations_of_value(const char* code, const std::string& json) {
  const FeatureCatalog features = catalog();
  const Feature& feature = features.at(code);
  FeatureValue value = feature.fallback;
  const Found violations = found(read_feature_value(json, feature, feature.fallback, value));
  if (!violations.empty()) {
    EXPECT_EQ(value, feature.fallback) << "changed by " << json;
  }
  return violations;
}

TEST(FeatureValueAlone, IsReadOverTheBase) {
  const FeatureCatalog features = catalog();
  const Feature& feature = features.at("chat_messages");
  FeatureValue base = feature.fallback;
  base.quota.limit = 5;
  base.quota.interval = Interval::week;
  base.quota.levels = {50, 60};
  FeatureValue value;
  EXPECT_EQ(found(read_feature_value("70", feature, base, value)), Found());
  EXPECT_EQ(value.quota.limit, 70);
  EXPECT_EQ(value.quota.interval, Interval::week) << "the plan's own";
  EXPECT_EQ(value.quota.levels, (WarnLevels{50, 60}));
  EXPECT_EQ(found(read_feature_value(R"({"quota": null, "per": "year"})", feature, base, value)),
            Found());
  EXPECT_EQ(value.quota.limit, std::nullopt);
  EXPECT_EQ(value.quota.interval, Interval::year);
}

TEST(FeatureValueAlone, StandsAloneWhereThePlanContradictsIt) {
  const FeatureCatalog features = catalog();
  const Feature& feature = features.at("minutes");
  FeatureValue given = feature.fallback;
  given.quota.levels = {20, 30};
  EXPECT_EQ(overridden(given, feature, "7").quota.levels, (WarnLevels{20, 30}));
  const FeatureValue alone = overridden(given, feature, R"({"quota": 7, "warn": 50})");
  EXPECT_EQ(alone.quota.limit, 7);
  EXPECT_EQ(alone.quota.levels, (WarnLevels{50, 90}));
  EXPECT_EQ(overridden(given, feature, "\"seven\""), given) << "was never accepted";
}

TEST(Plan, KnowsWhichFeaturesItMentions) {
  EXPECT_EQ(plan_with(R"({"minutes": 10, "auto_publish": false})").mentioned,
            (std::set<std::string, std::less<>>{"auto_publish", "minutes"}));
}

TEST(FeatureValueAlone, IsRefusedLikeTheValueOfAPlan) {
  EXPECT_EQ(violations_of_value("minutes", "-2"), (Found{{"minutes", "negative_quota"}}));
  EXPECT_EQ(violations_of_value("minutes", R"({"quota": -2, "per": "hour", "colour": 1})"),
            (Found{{"minutes.quota", "negative_quota"},
                   {"minutes.per", "invalid_interval"},
                   {"minutes.colour", "unknown_field"}}));
  EXPECT_EQ(violations_of_value("auto_publish", "1"), (Found{{"auto_publish", "wrong_kind"}}));
  EXPECT_EQ(violations_of_value("multiplier", "9"), (Found{{"multiplier", "out_of_range"}}));
  EXPECT_EQ(violations_of_value("audio_pipeline", "\"tape\""),
            (Found{{"audio_pipeline", "not_a_choice"}}));
  EXPECT_EQ(violations_of_value("minutes", "1, \"more\": 2"),
            (Found{{"minutes", "malformed_json"}}));
  EXPECT_FALSE(violations_of_value("minutes", "").empty());
}

TEST(FeatureKind, NamesAreReadBack) {
  for (const char* name : {"quota", "switch", "number", "choice"}) {
    FeatureKind kind;
    ASSERT_TRUE(parse_feature_kind(name, kind));
    EXPECT_STREQ(to_string(kind), name);
  }
  FeatureKind kind;
  EXPECT_FALSE(parse_feature_kind("toggle", kind));
}

TEST(ValueJson, IsJson) {
  FeatureValue value;
  value.kind = FeatureKind::choice;
  value.choice = "say \"hi\"\n";
  EXPECT_EQ(value_json(value), R"("say \"hi\"\n")");
  value.kind = FeatureKind::toggle;
  EXPECT_EQ(value_json(value), "false");
  value.kind = FeatureKind::quota;
  value.quota.limit = 12;
  EXPECT_EQ(value_json(value), "12");
}

}  // namespace
}  // namespace purser
