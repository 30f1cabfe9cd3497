// Plans as data: features declared once, plan documents that give each a value, and validation that
// reports every violation at once. A validated version is immutable, so it can be cached for ever.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/allowance.hpp"
#include "core/amount.hpp"
#include "core/quota.hpp"
#include "core/rate_plan.hpp"
#include "core/violation.hpp"

namespace purser {

enum class FeatureKind { quota, toggle, number, choice };

bool parse_feature_kind(std::string_view text, FeatureKind& kind);  // "quota", "switch", …
const char* to_string(FeatureKind kind);

// What a plan gives for one feature. Only the member of its kind means anything.
struct FeatureValue {
  FeatureKind kind = FeatureKind::quota;
  QuotaRule quota;
  bool on = false;
  Amount number;
  std::string choice;
  bool operator==(const FeatureValue&) const = default;
};

// What a feature needs of another before a plan may turn it on; one of the members says what.
struct Requirement {
  std::string feature;
  bool on = false;                   // of a switch
  std::vector<std::string> choices;  // of a choice: any of these
  std::optional<Amount> minimum;     // of a number or a quota; unlimited has it
};

// A feature as declared, whichever plans use it.
struct Feature {
  std::string code;
  FeatureKind kind = FeatureKind::quota;
  std::string name;  // for people, e.g. "chat messages"
  std::string unit;  // e.g. "message"
  std::string category;
  std::string description;
  int position = 0;                        // its place on a page
  FeatureValue fallback;                   // its value in a plan that does not mention it
  std::optional<Amount> minimum, maximum;  // of a number
  std::vector<std::string> choices;        // of a choice
  std::vector<Requirement> needs;
};

using FeatureCatalog = std::map<std::string, Feature, std::less<>>;

struct Price {
  Interval interval = Interval::month;
  std::string currency;  // three lower-case letters, ISO 4217
  std::int64_t cents = 0;
  int trial_days = 0;
  std::string stripe_price_id;  // empty when Stripe does not sell it
};

// One immutable version of a plan.
struct PlanVersion {
  std::string code;
  int version = 0;
  std::string name;
  std::string description;
  int position = 0;
  bool is_public = true;  // shown on the pricing page
  bool active = true;     // may be subscribed to
  std::vector<Price> prices;
  std::map<std::string, FeatureValue, std::less<>> features;  // every feature of the catalog
  RatePlan rates;
  PlanCredits credits;  // allowances by wallet
  std::set<std::string, std::less<>> mentioned;  // those its document gives a value

  // True when no price is above zero.
  bool is_free() const;
};

// Reads one feature declaration. Returns what is wrong with it; empty when `feature` is complete.
std::vector<Violation> read_feature(std::string_view code, std::string_view json, Feature& feature);

// Reads a plan document against the catalog. Returns all that is wrong with it; empty when
// `version` is complete (its code and number are the caller's to set).
std::vector<Violation> read_plan(std::string_view json, const FeatureCatalog& catalog,
                                 PlanVersion& version);

// Reads the value of one feature alone, as an override gives it, over `base`: what it leaves unsaid
// stays as it is there. Returns all that is wrong with it; empty when `value` is complete.
std::vector<Violation> read_feature_value(std::string_view json, const Feature& feature,
                                          const FeatureValue& base, FeatureValue& value);

// The value with an override laid over it. Where the two contradict each other, the override stands
// on the feature's declaration alone, against which it was accepted.
FeatureValue overridden(const FeatureValue& given, const Feature& feature, std::string_view json);

// A feature's value as JSON: a quota's limit (null when unlimited), true, 1.5, "assemblyai".
std::string value_json(const FeatureValue& value);

}  // namespace purser
