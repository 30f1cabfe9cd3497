// Plans seen from SQL: validation of documents.
#include <string>

#include "core/dependency.hpp"
#include "core/display.hpp"
#include "core/error.hpp"
#include "core/plan.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

void add_violations(pg::RowSet& result, const std::vector<Violation>& violations) {
  for (const Violation& v : violations)
    result.add({pg::text(v.path), pg::text(v.rule), pg::text(v.message)});
}

}  // namespace

// validate_plan(definition) → setof violation
PURSER_FUNCTION(purser_validate_plan) {
  const pg::Arguments arguments(fcinfo);
  const std::string definition = arguments.optional_jsonb(0, "definition").value_or("null");
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  PlanVersion ignored;
  add_violations(result, read_plan(definition, Catalog::load_features(), ignored));
  return 0;
}

// _validate_feature(code, definition) → setof violation
PURSER_FUNCTION(purser_validate_feature) {
  const pg::Arguments arguments(fcinfo);
  const std::string code(arguments.id(0, "feature"));
  const std::string definition = arguments.optional_jsonb(1, "definition").value_or("null");
  pg::RowSet result(fcinfo);
  Feature ignored;
  add_violations(result, read_feature(code, definition, ignored));
  return 0;
}

// _feature_dependencies() → setof violation
PURSER_FUNCTION(purser_feature_dependencies) {
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  add_violations(result, check_dependencies(Catalog::load_features()));
  return 0;
}

// _plan_features(definition) → one row for every declared feature; only for a valid definition
PURSER_FUNCTION(purser_plan_features) {
  const pg::Arguments arguments(fcinfo);
  const std::string definition = arguments.optional_jsonb(0, "definition").value_or("null");
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const FeatureCatalog features = Catalog::load_features();
  PlanVersion plan;
  if (!read_plan(definition, features, plan).empty())
    throw Error(sqlstate::plan_invalid, "the plan is not valid", {},
                "purser.validate_plan() lists what is wrong with it.");
  for (const auto& [code, feature] : features) {
    const FeatureValue& value = plan.features.at(code);
    const bool metered = feature.kind == FeatureKind::quota;
    result.add({pg::text(code), pg::jsonb(value_json(value)),
                metered ? pg::int8(value.quota.limit) : pg::null_value(),
                pg::boolean(is_included(value)), pg::text(display_text(feature, value))});
  }
  return 0;
}

}  // namespace purser
