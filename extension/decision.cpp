// Decisions as rows.
#include "extension/decision.hpp"

#include "core/error.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

namespace {

pg::Statement http_body{
    "SELECT purser.http_body(pg_catalog.jsonb_populate_record(NULL::purser.decision, $1))",
    {JSONBOID}};

template <class Number>
std::string json_number(const std::optional<Number>& number) {
  return number ? std::to_string(*number) : "null";
}

const char* sqlstate_of(const std::string& reason) {
  if (reason == "quota_exceeded" || reason == "per_call_exceeded") return sqlstate::quota_exceeded;
  if (reason == "feature_not_included") return sqlstate::feature_not_in_plan;
  return sqlstate::account_not_active;
}

std::string refusal_message(std::string_view account_id, const FeatureAnswer& given,
                            std::int64_t amount) {
  const std::string whose =
      "feature \"" + given.feature + "\" of account \"" + std::string(account_id) + "\"";
  const Answer& answer = given.answer;
  const std::string asked = std::to_string(amount) + " asked";
  if (answer.reason == "quota_exceeded")
    return "quota exceeded: " + whose + ": " + std::to_string(answer.used) + " of " +
           std::to_string(answer.quota.value_or(0)) + " used, " + asked;
  if (answer.reason == "per_call_exceeded")
    return "too much at once: " + whose + ": at most " +
           std::to_string(answer.max_amount.value_or(0)) + ", " + asked;
  if (answer.reason == "feature_not_included") return whose + " is not included in its plan";
  return whose + " cannot be used: " + answer.reason;
}

}  // namespace

Answer answer_of(const Decision& decision, const QuotaState& state, Instant resets_at) {
  Answer answer;
  answer.allowed = decision.allowed;
  answer.reason = to_string(decision.reason);
  answer.used = decision.used;
  answer.quota = decision.quota;
  answer.remaining = decision.remaining;
  answer.resets_at = resets_at;
  answer.level = decision.level;
  answer.percent = decision.percent;
  answer.held = state.held;
  answer.max_amount = decision.max_amount;
  return answer;
}

DecisionColumns decision_columns(std::string_view account_id, std::string_view feature,
                                 const Answer& answer) {
  return {pg::boolean(answer.allowed),
          pg::text(answer.reason),
          pg::text(account_id),
          pg::text(feature),
          pg::int8(answer.used),
          pg::int8(answer.quota),
          pg::int8(answer.remaining),
          pg::finite_timestamptz(answer.resets_at),
          pg::text(answer.level),
          pg::int4(answer.percent),
          pg::int8(answer.held),
          pg::int8(answer.max_amount),
          pg::text_or_null(answer.hold_id)};
}

std::string decision_json(const FeatureAnswer& given) {
  const Answer& answer = given.answer;
  return std::string("{\"feature\":") + pg::json_string(given.feature) +
         ",\"allowed\":" + (answer.allowed ? "true" : "false") +
         ",\"reason\":" + pg::json_string(answer.reason) +
         ",\"used\":" + std::to_string(answer.used) + ",\"quota\":" + json_number(answer.quota) +
         ",\"remaining\":" + json_number(answer.remaining) +
         ",\"resets_at\":" + pg::json_timestamptz(answer.resets_at) +
         ",\"level\":" + pg::json_string(answer.level) +
         ",\"percent\":" + json_number(answer.percent) +
         ",\"held\":" + std::to_string(answer.held) +
         ",\"max_amount\":" + json_number(answer.max_amount) +
         ",\"hold_id\":" + (answer.hold_id ? pg::json_string(*answer.hold_id) : "null") + "}";
}

void require_allowed(std::string_view account_id, const FeatureAnswer& given, std::int64_t amount) {
  if (given.answer.allowed) return;
  pg::Spi spi;
  const pg::Rows body = http_body.run({pg::jsonb(decision_json(given))});
  throw Error(sqlstate_of(given.answer.reason), refusal_message(account_id, given, amount),
              body[0].jsonb(0), "The detail is a JSON body for the person who asked.");
}

}  // namespace purser
