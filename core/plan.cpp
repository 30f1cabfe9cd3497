// Reading feature declarations and plan documents: JSON text in, every violation out. What a value
// means when it is used is decided elsewhere (quota, credits).
#include "core/plan.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/dependency.hpp"
#include "core/document.hpp"

namespace purser {
namespace {

constexpr int longest_trial = 730;  // days, as Stripe allows

// ---- values of features -------------------------------------------------------------------------

void read_per(const Json& value, const Place& place, QuotaRule& rule) {
  if (value.type != JsonType::string) return place.wrong_kind("an interval", value);
  const bool billing = value.text == "billing" || value.text == "billing_year";
  if (billing)
    rule.interval = value.text == "billing" ? Interval::month : Interval::year;
  else if (!parse_interval(value.text, rule.interval))
    return place.report(
        "invalid_interval",
        "must be day, week, month, year, lifetime, billing or billing_year, not " + shown(value));
  rule.billing = billing;
}

// An integer, or null or -1 for unlimited.
void read_limit(const Json& value, const Place& place, QuotaRule& rule) {
  if (value.type == JsonType::null) {
    rule.limit.reset();
    return;
  }
  if (!require_integer(value, place)) return;
  const std::optional<std::int64_t> limit = to_int64(value.text);
  if (value.text == "-1")
    rule.limit.reset();
  else if (value.text.front() == '-' && limit != 0)
    place.report("negative_quota", "must be 0 or more, or null for unlimited, not " + shown(value));
  else if (limit)
    rule.limit = limit;
  else
    place.report("out_of_range", "must be at most 9223372036854775807, not " + shown(value));
}

void read_levels(const Json& object, const Place& place, WarnLevels& levels) {
  if (const Json* warn = given(object, "warn"))
    read_integer(*warn, 1, 100, place.field("warn"), levels.warn);
  if (const Json* critical = given(object, "critical"))
    read_integer(*critical, 1, 100, place.field("critical"), levels.critical);
  if (levels.warn > levels.critical)
    place.field("warn").report("out_of_range", std::to_string(levels.warn) + " is above critical " +
                                                   std::to_string(levels.critical));
}

// Units, from `lowest` on.
void read_units(const Json& object, const char* name, std::int64_t lowest, const Place& place,
                std::optional<std::int64_t>& units) {
  const Place here = place.field(name);
  const Json* value = given(object, name);
  if (!value || !require_integer(*value, here)) return;
  const std::optional<std::int64_t> read = to_int64(value->text);
  if (read && *read >= lowest)
    units = read;
  else
    here.report("out_of_range", "must be between " + std::to_string(lowest) +
                                    " and 9223372036854775807, not " + shown(*value));
}

void read_overage(const Json& value, const Place& place, bool& soft) {
  if (value.type != JsonType::string) return place.wrong_kind("text", value);
  if (value.text != "hard" && value.text != "soft")
    return place.report("not_a_choice", "must be hard or soft, not " + shown(value));
  soft = value.text == "soft";
}

// What happens at the edges of a quota: beyond the limit, at the end of a period, in one call.
void read_edges(const Json& object, const Place& place, QuotaRule& rule) {
  if (const Json* overage = given(object, "overage"))
    read_overage(*overage, place.field("overage"), rule.soft);
  std::optional<std::int64_t> grace = rule.grace, rollover = rule.rollover;
  read_units(object, "grace", 0, place, grace);
  read_units(object, "rollover", 0, place, rollover);
  read_units(object, "per_call", 1, place, rule.per_call);
  rule.grace = *grace;
  rule.rollover = *rollover;
  if (rule.soft && rule.grace > 0)
    place.field("grace").report("contradiction", "has no meaning with a soft overage");
  if (rule.rollover > 0 && rule.interval == Interval::lifetime)
    place.field("rollover").report("contradiction", "has no meaning per lifetime");
}

void read_quota(const Json& value, const Place& place, QuotaRule& rule) {
  if (value.type != JsonType::object) return read_limit(value, place, rule);
  allow_only({"quota", "per", "warn", "critical", "overage", "grace", "rollover", "per_call"},
             value, place);
  if (const Json* limit = value.find("quota"))
    read_limit(*limit, place.field("quota"), rule);
  else
    place.field("quota").missing();
  if (const Json* per = given(value, "per")) read_per(*per, place.field("per"), rule);
  read_levels(value, place, rule.levels);
  read_edges(value, place, rule);
}

void read_number(const Json& value, const Feature& feature, const Place& place, Amount& number) {
  const std::optional<Amount> read = read_amount(value, place);
  if (!read) return;
  if (feature.minimum && *read < *feature.minimum)
    place.report("out_of_range",
                 "must be at least " + feature.minimum->to_string() + ", not " + shown(value));
  else if (feature.maximum && *read > *feature.maximum)
    place.report("out_of_range",
                 "must be at most " + feature.maximum->to_string() + ", not " + shown(value));
  else
    number = *read;
}

void read_choice(const Json& value, const Feature& feature, const Place& place,
                 std::string& choice) {
  if (value.type != JsonType::string) return place.wrong_kind("text", value);
  if (!contains(feature.choices, value.text))
    return place.report("not_a_choice",
                        "must be one of " + list_of(feature.choices) + ", not " + shown(value));
  choice = value.text;
}

// Reads over `result`, which holds what the feature's declaration says; a plan that gives only a
// limit so keeps the declared interval and levels.
void read_value(const Json& value, const Feature& feature, const Place& place,
                FeatureValue& result) {
  switch (feature.kind) {
    case FeatureKind::quota:
      return read_quota(value, place, result.quota);
    case FeatureKind::toggle:
      return read_flag(value, place, result.on);
    case FeatureKind::number:
      return read_number(value, feature, place, result.number);
    case FeatureKind::choice:
      return read_choice(value, feature, place, result.choice);
  }
}

void read_position(const Json& object, const Place& place, int& position) {
  if (const Json* value = given(object, "position"))
    read_integer(*value, 0, std::numeric_limits<int>::max(), place.field("position"), position);
}

// ---- feature declarations -----------------------------------------------------------------------

std::vector<std::string> declarable_fields(FeatureKind kind) {
  std::vector<std::string> fields = {"kind",        "name",     "unit",     "category",
                                     "description", "position", "requires", "default"};
  if (kind == FeatureKind::quota) fields.push_back("per");
  if (kind == FeatureKind::number) fields.insert(fields.end(), {"minimum", "maximum"});
  if (kind == FeatureKind::choice) fields.push_back("choices");
  return fields;
}

bool read_kind(const Json& document, const Place& place, FeatureKind& kind) {
  const Place here = place.field("kind");
  const Json* value = given(document, "kind");
  if (!value)
    here.missing();
  else if (value->type != JsonType::string)
    here.wrong_kind("text", *value);
  else if (!parse_feature_kind(value->text, kind))
    here.report("not_a_choice",
                "must be one of quota, switch, number, choice, not " + shown(*value));
  else
    return true;
  return false;
}

void read_bounds(const Json& document, const Place& place, Feature& feature) {
  if (const Json* value = given(document, "minimum"))
    feature.minimum = read_amount(*value, place.field("minimum"));
  if (const Json* value = given(document, "maximum"))
    feature.maximum = read_amount(*value, place.field("maximum"));
  if (feature.minimum && feature.maximum && *feature.minimum > *feature.maximum)
    place.field("minimum").report(
        "out_of_range",
        feature.minimum->to_string() + " is above maximum " + feature.maximum->to_string());
}

void read_choices(const Json& document, const Place& place, Feature& feature) {
  const Place here = place.field("choices");
  const Json* value = given(document, "choices");
  if (!value) return here.missing();
  if (value->type != JsonType::array) return here.wrong_kind("an array of texts", *value);
  if (value->items.empty()) return here.report("missing_field", "must name at least one");
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    const Json& choice = value->items[i];
    const Place item = here.item(i, "choice");
    if (choice.type != JsonType::string || choice.text.empty())
      item.wrong_kind("a text that is not empty", choice);
    else if (contains(feature.choices, choice.text))
      item.report("duplicate_key", shown(choice) + " is given twice");
    else
      feature.choices.push_back(choice.text);
  }
}

bool needs_default(FeatureKind kind) {
  return kind == FeatureKind::number || kind == FeatureKind::choice;
}

void read_default(const Json& document, const Place& place, Feature& feature) {
  feature.fallback.kind = feature.kind;
  feature.fallback.quota.limit = 0;
  if (const Json* value = document.find("default"))
    read_value(*value, feature, place.field("default"), feature.fallback);
  else if (needs_default(feature.kind))
    place.field("default").missing();
}

void read_declaration(const Json& document, const Place& place, Feature& feature) {
  read_text(document, "name", place, feature.name);
  read_text(document, "unit", place, feature.unit);
  read_text(document, "category", place, feature.category);
  read_text(document, "description", place, feature.description);
  read_position(document, place, feature.position);
  read_requirements(document, place, feature.needs);
  // What else may be said, and of what form, depends on the kind.
  if (!read_kind(document, place, feature.kind)) return;
  allow_only(declarable_fields(feature.kind), document, place);
  if (feature.kind == FeatureKind::quota)
    if (const Json* per = given(document, "per"))
      read_per(*per, place.field("per"), feature.fallback.quota);
  if (feature.kind == FeatureKind::number) read_bounds(document, place, feature);
  if (feature.kind == FeatureKind::choice) read_choices(document, place, feature);
  read_default(document, place, feature);
}

// ---- plan documents -----------------------------------------------------------------------------

void read_price_interval(const Json& object, const Place& place, Price& price) {
  const Place here = place.field("interval");
  const Json* value = given(object, "interval");
  if (!value)
    here.missing();
  else if (value->type != JsonType::string)
    here.wrong_kind("an interval", *value);
  else if (!parse_interval(value->text, price.interval))
    here.report("invalid_interval",
                "must be day, week, month, year or lifetime, not " + shown(*value));
}

bool is_currency(const std::string& text) {
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return text.size() == 3 && std::all_of(text.begin(), text.end(), is_lower);
}

void read_currency(const Json& object, const Place& place, Price& price) {
  const Place here = place.field("currency");
  const Json* value = given(object, "currency");
  if (!value)
    here.missing();
  else if (value->type != JsonType::string)
    here.wrong_kind("text", *value);
  else if (!is_currency(value->text))
    here.report("invalid_currency",
                "must be three lower-case letters such as usd, not " + shown(*value));
  else
    price.currency = value->text;
}

void read_cents(const Json& object, const Place& place, Price& price) {
  const Place here = place.field("cents");
  const Json* value = given(object, "cents");
  if (!value) return here.missing();
  if (!require_integer(*value, here)) return;
  const std::optional<std::int64_t> cents = to_int64(value->text);
  if (cents && *cents >= 0)
    price.cents = *cents;
  else
    here.report("invalid_price", "must be between 0 and 9223372036854775807, not " + shown(*value));
}

void read_price(const Json& object, const Place& place, std::vector<Price>& prices) {
  if (object.type != JsonType::object) return place.wrong_kind("an object", object);
  allow_only({"interval", "currency", "cents", "trial_days", "stripe_price_id"}, object, place);
  Price price;
  read_price_interval(object, place, price);
  read_currency(object, place, price);
  read_cents(object, place, price);
  if (const Json* days = given(object, "trial_days"))
    read_integer(*days, 0, longest_trial, place.field("trial_days"), price.trial_days);
  read_text(object, "stripe_price_id", place, price.stripe_price_id);
  const auto same = [&](const Price& other) {
    return other.interval == price.interval && other.currency == price.currency;
  };
  if (!price.currency.empty() && std::any_of(prices.begin(), prices.end(), same))
    place.report("invalid_price", std::string("per ") + to_string(price.interval) + " in " +
                                      price.currency + " is given twice");
  prices.push_back(std::move(price));
}

void read_prices(const Json& document, const Place& place, std::vector<Price>& prices) {
  const Json* value = given(document, "prices");
  if (!value) return;
  const Place here = place.field("prices");
  if (value->type != JsonType::array) return here.wrong_kind("an array of prices", *value);
  for (std::size_t i = 0; i < value->items.size(); ++i)
    read_price(value->items[i], here.item(i, "price"), prices);
}

void read_features(const Json& document, const FeatureCatalog& catalog, const Place& place,
                   PlanVersion& version) {
  const Json* value = given(document, "features");
  if (!value) return;
  const Place here = place.field("features");
  if (value->type != JsonType::object) return here.wrong_kind("an object", *value);
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    const std::string& code = value->names[i];
    const auto feature = catalog.find(code);
    if (feature == catalog.end())
      here.field(code).report("unknown_feature", "is not a declared feature");
    else
      read_value(value->items[i], feature->second, here.field(code), version.features[code]);
    version.mentioned.insert(code);
  }
}

void read_plan_name(const Json& document, const Place& place, std::string& name) {
  if (!given(document, "name")) return place.field("name").missing();
  read_text(document, "name", place, name);
}

}  // namespace

bool parse_feature_kind(std::string_view text, FeatureKind& kind) {
  for (FeatureKind known :
       {FeatureKind::quota, FeatureKind::toggle, FeatureKind::number, FeatureKind::choice}) {
    if (text != to_string(known)) continue;
    kind = known;
    return true;
  }
  return false;
}

const char* to_string(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::quota:
      return "quota";
    case FeatureKind::toggle:
      return "switch";
    case FeatureKind::number:
      return "number";
    case FeatureKind::choice:
      break;
  }
  return "choice";
}

bool PlanVersion::is_free() const {
  return std::none_of(prices.begin(), prices.end(),
                      [](const Price& price) { return price.cents > 0; });
}

std::vector<Violation> read_feature(std::string_view code, std::string_view json,
                                    Feature& feature) {
  Violations violations;
  feature = Feature();
  feature.code = code;
  feature.name = code;  // until the declaration names it
  if (const std::optional<Json> document = read_document(json, violations))
    read_declaration(*document, Place("", feature.code, violations), feature);
  return violations;
}

std::vector<Violation> read_plan(std::string_view json, const FeatureCatalog& catalog,
                                 PlanVersion& version) {
  Violations violations;
  PlanVersion read;
  read.code = version.code;
  read.version = version.version;
  for (const auto& [code, feature] : catalog) read.features[code] = feature.fallback;

  if (const std::optional<Json> document = read_document(json, violations)) {
    const Place place("", "plan", violations);
    allow_only({"name", "description", "position", "public", "active", "prices", "features",
                "rate_limits", "rate_multiplier", "credits"},
               *document, place);
    read_plan_name(*document, place, read.name);
    read_text(*document, "description", place, read.description);
    read_position(*document, place, read.position);
    if (const Json* is_public = given(*document, "public"))
      read_flag(*is_public, place.field("public"), read.is_public);
    if (const Json* active = given(*document, "active"))
      read_flag(*active, place.field("active"), read.active);
    read_prices(*document, place, read.prices);
    read_features(*document, catalog, place, read);
    require_dependencies(read, catalog, place.field("features"));
    read_rate_plan(*document, place, read.rates);
    read_plan_credits(*document, place, read.credits);
  }
  version = std::move(read);
  return violations;
}

std::vector<Violation> read_feature_value(std::string_view json, const Feature& feature,
                                          const FeatureValue& base, FeatureValue& value) {
  Violations violations;
  FeatureValue read = base;
  // Documents are objects; the value stands in one of its own.
  const std::string document = "{\"value\": " + std::string(json) + "}";
  if (const std::optional<Json> object = read_document(document, violations)) {
    const Place place(feature.code, feature.code, violations);
    if (object->items.size() == 1)
      read_value(object->items.front(), feature, place, read);
    else
      place.report("malformed_json", "must be one JSON value");
  }
  if (violations.empty()) value = std::move(read);
  return violations;
}

FeatureValue overridden(const FeatureValue& given, const Feature& feature, std::string_view json) {
  FeatureValue value = given;
  if (!read_feature_value(json, feature, given, value).empty())
    read_feature_value(json, feature, feature.fallback, value);
  return value;
}

std::string value_json(const FeatureValue& value) {
  switch (value.kind) {
    case FeatureKind::quota:
      return value.quota.limit ? std::to_string(*value.quota.limit) : "null";
    case FeatureKind::toggle:
      return value.on ? "true" : "false";
    case FeatureKind::number:
      return value.number.to_string();
    case FeatureKind::choice:
      break;
  }
  return nlohmann::json(value.choice)
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace purser
