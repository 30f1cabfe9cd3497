// Dependencies between features: read, checked over the whole catalog, and held against a plan.
#include "core/dependency.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace purser {
namespace {

std::string quoted(const std::string& text) {
  return '"' + text + '"';
}

void read_minimum(const Json& value, const Place& place, Requirement& need) {
  allow_only({"minimum"}, value, place);
  if (const Json* minimum = given(value, "minimum"))
    need.minimum = read_amount(*minimum, place.field("minimum"));
  else
    place.field("minimum").missing();
}

void read_choices(const Json& value, const Place& place, Requirement& need) {
  if (value.items.empty()) return place.report("missing_field", "must name at least one choice");
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    const Json& choice = value.items[i];
    if (choice.type == JsonType::string)
      need.choices.push_back(choice.text);
    else
      place.item(i, "choice").wrong_kind("text", choice);
  }
}

void read_requirement(const Json& value, const Place& place, Requirement& need) {
  if (value.type == JsonType::string)
    need.choices.push_back(value.text);
  else if (value.type == JsonType::array)
    read_choices(value, place, need);
  else if (value.type == JsonType::object)
    read_minimum(value, place, need);
  else if (value.type == JsonType::boolean && value.text == "true")
    need.on = true;
  else
    place.wrong_kind("true, a choice, a list of choices, or {\"minimum\": n}", value);
}

// In words: the feature and the value it must have.
std::string wanted(const Requirement& need) {
  if (need.on) return need.feature + " = true";
  if (need.minimum) return need.feature + " >= " + need.minimum->to_string();
  return need.feature + (need.choices.size() == 1 ? " = " : " = one of ") + list_of(need.choices);
}

bool fits_kind(const Requirement& need, FeatureKind kind) {
  switch (kind) {
    case FeatureKind::toggle:
      return need.on;
    case FeatureKind::choice:
      return !need.choices.empty();
    case FeatureKind::quota:
    case FeatureKind::number:
      break;
  }
  return need.minimum.has_value();
}

const char* form_for(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::toggle:
      return "true";
    case FeatureKind::choice:
      return "a choice or a list of choices";
    case FeatureKind::quota:
    case FeatureKind::number:
      break;
  }
  return "{\"minimum\": n}";
}

void check_requirement(const Requirement& need, const FeatureCatalog& catalog, const Place& place) {
  const auto found = catalog.find(need.feature);
  if (found == catalog.end()) return place.report("unknown_feature", "is not a declared feature");
  const Feature& other = found->second;
  if (!fits_kind(need, other.kind))
    return place.report("wrong_kind", std::string("is a ") + to_string(other.kind) +
                                          " and must be given as " + form_for(other.kind));
  for (const std::string& choice : need.choices)
    if (!contains(other.choices, choice))
      place.report("not_a_choice",
                   "must be one of " + list_of(other.choices) + ", not " + quoted(choice));
}

// Follows requirements depth first and reports each cycle once, where it closes.
class CycleSearch {
 public:
  CycleSearch(const FeatureCatalog& catalog, Violations& violations)
      : catalog_(catalog), violations_(violations) {}

  // Along a path kept by hand: a chain may be as long as the catalog.
  void from(const Feature& start) {
    if (!enter(start)) return;
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next == step.feature->needs.size()) {
        on_path_.erase(step.feature->code);
        path_.pop_back();
        continue;
      }
      const Requirement& need = step.feature->needs[step.next++];
      const auto found = catalog_.find(need.feature);
      if (found == catalog_.end()) continue;
      if (on_path_.contains(need.feature))
        report(need.feature);
      else
        enter(found->second);
    }
  }

 private:
  struct Step {
    const Feature* feature;
    std::size_t next;
  };

  bool enter(const Feature& feature) {
    if (!seen_.insert(feature.code).second) return false;
    on_path_.insert(feature.code);
    path_.push_back({&feature, 0});
    return true;
  }

  void report(const std::string& closes_at) const {
    std::string cycle;
    bool inside = false;
    for (const Step& step : path_) {
      inside = inside || step.feature->code == closes_at;
      if (inside) cycle += step.feature->code + " -> ";
    }
    const Feature& last = *path_.back().feature;
    const Place place("", last.code, violations_);
    place.field(last.code)
        .field("requires")
        .field(closes_at)
        .report("dependency_cycle", "closes a circle: " + cycle + closes_at);
  }

  const FeatureCatalog& catalog_;
  Violations& violations_;
  std::set<std::string> seen_, on_path_;
  std::vector<Step> path_;
};

bool turned_on(const FeatureValue& value, const Feature& feature) {
  switch (value.kind) {
    case FeatureKind::quota:
      return value.quota.limit != 0;
    case FeatureKind::toggle:
      return value.on;
    case FeatureKind::number:
      return value.number != feature.fallback.number;
    case FeatureKind::choice:
      break;
  }
  return value.choice != feature.fallback.choice;
}

// Limits go up to 2^63, minima to 2^63 millionths.
bool reaches(std::int64_t limit, Amount minimum) {
  const std::int64_t whole = minimum.micros() / Amount::unit;
  return limit > whole || (limit == whole && minimum.micros() % Amount::unit <= 0);
}

bool satisfied(const Requirement& need, const FeatureValue& value) {
  switch (value.kind) {
    case FeatureKind::quota:
      return !value.quota.limit || (need.minimum && reaches(*value.quota.limit, *need.minimum));
    case FeatureKind::toggle:
      return value.on;
    case FeatureKind::number:
      return need.minimum && value.number >= *need.minimum;
    case FeatureKind::choice:
      break;
  }
  return contains(need.choices, value.choice);
}

}  // namespace

void read_requirements(const Json& declaration, const Place& place,
                       std::vector<Requirement>& needs) {
  const Json* value = given(declaration, "requires");
  if (!value) return;
  const Place here = place.field("requires");
  if (value->type != JsonType::object)
    return here.wrong_kind("an object of feature and value", *value);
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    Requirement need;
    need.feature = value->names[i];
    read_requirement(value->items[i], here.field(need.feature), need);
    needs.push_back(std::move(need));
  }
}

std::vector<Violation> check_dependencies(const FeatureCatalog& catalog) {
  Violations violations;
  for (const auto& [code, feature] : catalog)
    for (const Requirement& need : feature.needs)
      check_requirement(
          need, catalog,
          Place("", code, violations).field(code).field("requires").field(need.feature));
  CycleSearch search(catalog, violations);
  for (const auto& [code, feature] : catalog) search.from(feature);
  return violations;
}

void require_dependencies(const PlanVersion& plan, const FeatureCatalog& catalog,
                          const Place& features) {
  for (const auto& [code, feature] : catalog) {
    const auto value = plan.features.find(code);
    if (value == plan.features.end() || !turned_on(value->second, feature)) continue;
    for (const Requirement& need : feature.needs) {
      const auto other = plan.features.find(need.feature);
      if (other != plan.features.end() && !satisfied(need, other->second))
        features.field(code).report(
            "missing_dependency",
            "requires " + wanted(need) + ", which is " + value_json(other->second));
    }
  }
}

}  // namespace purser
