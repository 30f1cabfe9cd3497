// What an account gets: the value of each feature, and where it comes from.
#include <string>

#include "core/display.hpp"
#include "core/plan.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

pg::Statement select_overrides{
    "SELECT o.feature, o.value, o.expires_at, o.reason FROM purser.feature_override AS o"
    " WHERE o.account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

struct Given {
  AccountStatus status;
  FeatureValue value;
};

// What the account gets for a feature: what its plan gives, or an override of it.
Given given(FunctionCallInfo fcinfo) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const std::string code(arguments.id(1, "feature"));
  pg::Spi spi;
  const auto plans = catalog();
  const Feature& feature = plans->feature(code);
  const Terms terms = load_terms(account_id, code, pg::now());
  const PlanVersion& plan = plans->version(terms.account.plan, terms.account.pinned_version);
  const FeatureValue& value = plan.features.find(code)->second;
  if (!terms.override_value) return {terms.account.status, value};
  return {terms.account.status, overridden(value, feature, *terms.override_value)};
}

struct Override {
  std::string value;
  Instant expires_at;
  std::string reason;
};

std::map<std::string, Override, std::less<>> overrides_in_force(std::string_view account_id,
                                                                Instant now) {
  std::map<std::string, Override, std::less<>> overrides;
  const pg::Rows rows = select_overrides.read({pg::text(account_id)});
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    const Instant expires_at = row.optional_int8(2).value_or(end_of_time);
    if (expires_at > now)
      overrides.emplace(row.string(0), Override{row.jsonb(1), expires_at, row.string(3)});
  }
  return overrides;
}

}  // namespace

// feature_value(account_id, feature) → jsonb
PURSER_FUNCTION(purser_feature_value) {
  const std::string json = value_json(given(fcinfo).value);
  return pg::jsonb(json).datum;
}

// has_feature(account_id, feature) → boolean
PURSER_FUNCTION(purser_has_feature) {
  const Given found = given(fcinfo);
  return BoolGetDatum(found.status == AccountStatus::active && is_included(found.value));
}

// _validate_override(feature, value) → setof violation
PURSER_FUNCTION(purser_validate_override) {
  const pg::Arguments arguments(fcinfo);
  const std::string code(arguments.id(0, "feature"));
  const std::string value = arguments.optional_jsonb(1, "value").value_or("null");
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  const Feature& feature = plans->feature(code);
  FeatureValue ignored;
  for (const Violation& v : read_feature_value(value, feature, feature.fallback, ignored))
    result.add({pg::text(v.path), pg::text(v.rule), pg::text(v.message)});
  return 0;
}

// entitlements(account_id) → setof feature_entitlement
PURSER_FUNCTION(purser_entitlements) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  const Instant now = pg::now();
  const Account account = load_account(account_id, now);
  const PlanVersion& plan = plans->version(account.plan, account.pinned_version);
  const auto overrides = overrides_in_force(account_id, now);
  for (const auto& [code, feature] : plans->features()) {
    const FeatureValue& from_plan = plan.features.find(code)->second;
    const auto found = overrides.find(code);
    const bool is_overridden = found != overrides.end();
    const char* source = is_overridden                ? "override"
                         : plan.mentioned.count(code) ? "plan"
                                                      : "default";
    const FeatureValue value =
        is_overridden ? overridden(from_plan, feature, found->second.value) : from_plan;
    result.add({pg::text(code), pg::text(to_string(feature.kind)),
                feature.category.empty() ? pg::null_value() : pg::text(feature.category),
                pg::jsonb(value_json(value)), pg::text(source), pg::text(plan.code),
                pg::int4(plan.version),
                is_overridden ? pg::finite_timestamptz(found->second.expires_at) : pg::null_value(),
                is_overridden ? pg::text(found->second.reason) : pg::null_value()});
  }
  return 0;
}

}  // namespace purser
