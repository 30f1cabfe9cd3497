// Quota decisions on their way to the caller, and into the memory of idempotency keys.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/quota.hpp"
#include "extension/pg/value.hpp"

namespace purser {

// A decision as it is returned, and as a retry gets it again.
struct Answer {
  bool allowed = false;
  std::string reason;
  std::int64_t used = 0;
  std::optional<std::int64_t> quota, remaining;
  Instant resets_at = end_of_time;  // end_of_time when it never resets
  std::string level;
  std::optional<std::int32_t> percent;
  std::int64_t held = 0;
  std::optional<std::int64_t> max_amount;
  std::optional<std::string> hold_id;
};

Answer answer_of(const Decision& decision, const QuotaState& state, Instant resets_at);

// What a call answered about one feature.
struct FeatureAnswer {
  std::string feature;
  Answer answer;
};
using Answers = std::vector<FeatureAnswer>;

// The decision as jsonb_populate_record() reads it into purser.decision, without the account.
std::string decision_json(const FeatureAnswer& given);

// Raises a refusal as an error for those who cannot go on: PU001 used up or too much at once, PU003
// account not active, PU004 not included. The detail is the JSON of http_body().
void require_allowed(std::string_view account_id, const FeatureAnswer& given, std::int64_t amount);

// The columns of purser.decision.
using DecisionColumns = std::array<pg::Value, 13>;
DecisionColumns decision_columns(std::string_view account_id, std::string_view feature,
                                 const Answer& answer);

}  // namespace purser
