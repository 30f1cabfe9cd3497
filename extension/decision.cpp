// Decisions as rows.
#include "extension/decision.hpp"

namespace purser {

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

}  // namespace purser
