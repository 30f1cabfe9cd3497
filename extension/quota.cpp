// Counting usage against a quota: check_and_increment, alone and in batches, require_quota,
// check_quota, usage.
//
// The common case reads one entitlement row by its key, decides, and rewrites it in place; a
// refusal has then written nothing. When another transaction changes the row at that moment, one
// kept UPDATE waits for it, with the limit evaluated where the row is tested (_admits). When that
// touches no row the reason is looked up: no such row yet, a period that is over, terms that may
// have changed, or a refusal. A counter in stripes is counted on the session's own stripe, in place
// or not at all: an UPDATE that waited for a stripe keeps it locked although it no longer fits.
//
// Locks: entitlement rows, see entitlement.hpp; a batch takes them by (account, feature).
#include "core/quota.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <span>
#include <string>

#include "core/error.hpp"
#include "extension/entitlement.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"
#include "extension/quota_keys.hpp"
#include "extension/stripes.hpp"

namespace purser {

namespace {

pg::Statement count_usage{
    "UPDATE purser.entitlement AS e"
    "   SET used = e.used OPERATOR(pg_catalog.+) $3,"
    "       lifetime = e.lifetime OPERATOR(pg_catalog.+) $3"
    " WHERE e.account_id OPERATOR(pg_catalog.=) $1"
    "   AND e.feature OPERATOR(pg_catalog.=) $2"
    "   AND e.fresh_until OPERATOR(pg_catalog.>) $4"
    "   AND e.stripes OPERATOR(pg_catalog.=) 0"
    "   AND purser._admits(e.status, e.plan, e.pinned_version, e.feature, e.per, e.override, "
    "e.used,"
    "                      e.held, e.carried, $3)"
    " RETURNING e.used, e.held, e.carried, e.period_end, e.plan, e.pinned_version, e.override",
    {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}};

struct Request {
  std::string account_id;
  std::string feature;
  std::int64_t amount = 1;
  std::optional<std::string> key;

  IdempotencyKey idempotency() const {
    const Canonical canonical =
        Canonical("check_and_increment/1").add("feature", feature).add("amount", amount);
    return {account_id, key, key ? pg::sha256(canonical.bytes()) : Digest()};
  }
  bool same_counter(const Request& other) const {
    return feature == other.feature && account_id == other.account_id;
  }
};

void require_amount(std::int64_t amount) {
  if (amount > 0) return;
  throw Error(sqlstate::invalid_amount, "amount must be positive, got " + std::to_string(amount),
              {}, "Ask for at least 1.");
}

Request read_request(FunctionCallInfo fcinfo) {
  const pg::Arguments arguments(fcinfo);
  Request request{std::string(arguments.id(0, "account_id")),
                  std::string(arguments.id(1, "feature")), arguments.int8(2, "amount"),
                  std::nullopt};
  require_amount(request.amount);
  if (fcinfo->nargs > 3) request.key = arguments.optional_id(3, "idempotency_key");
  return request;
}

// ---- in place -----------------------------------------------------------------------------------

std::optional<std::string_view> text_of(const pg::KeyedRow& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return pg::read_text(row.datum(column));
}

// The rule the row found is decided by; nullopt when the plan is not in memory, or the row's terms
// or period may be over.
std::optional<QuotaRule> rule_at_hand(const pg::KeyedRow& row, const std::string& feature,
                                      const Catalog& plans, Instant now) {
  if (pg::read_timestamptz(row.datum(fresh_until_column)) <= now) return std::nullopt;
  const auto pinned = row.is_null(pinned_version_column)
                          ? std::nullopt
                          : std::optional(pg::read_int4(row.datum(pinned_version_column)));
  const PlanVersion* plan =
      plans.cached_version(text_of(row, plan_column).value_or(std::string_view()), pinned);
  if (plan == nullptr) return std::nullopt;
  const QuotaRule rule = quota_rule(plans, *plan, feature, text_of(row, override_column));
  if (pg::read_text(row.datum(per_column)) != per_word(rule)) return std::nullopt;
  return rule;
}

QuotaState state_of(const pg::KeyedRow& row) {
  return {stored_status(pg::read_text(row.datum(status_column))),
          pg::read_int8(row.datum(used_column)), pg::read_int8(row.datum(held_column)),
          pg::read_int8(row.datum(carried_column))};
}

void emit_crossing_of(const Request& request, const QuotaRule& rule, const QuotaState& before,
                      std::int64_t used, Instant resets_at, Instant now) {
  if (crossed_level(rule, before, used) == nullptr) return;
  pg::Spi spi;
  emit_crossing(request.account_id, request.feature, rule, before, used, resets_at, now);
}

enum class InPlace {
  done,
  overtaken,    // by another transaction; the next look may tell
  cannot_tell,  // nothing done either
};

// On its stripes as they stand: refused by their sum, or counted on this session's own.
InPlace count_in_stripe(const pg::KeyedRow& row, const QuotaRule& rule, const Request& request,
                        Answer& answer, Instant now) {
  HomeStripe home(request.account_id, request.feature, pg::read_int4(row.datum(stripes_column)));
  if (!home.found()) return InPlace::cannot_tell;
  QuotaState state = state_of(row);
  state.used += home.used();
  Decision decision = decide(rule, state, request.amount);
  if (decision.allowed) {
    if (!home.may_give(request.amount, rule, now)) return InPlace::cannot_tell;
    decision = counted(rule, state, request.amount);
    if (!home.give(request.amount)) return InPlace::overtaken;
  }
  answer = answer_of(decision, state, pg::read_timestamptz(row.datum(period_end_column)));
  return InPlace::done;
}

// Decides requests on one counter, one after the other, on its row as it stands, and counts in it.
InPlace count_in_row(pg::KeyedRow& row, const QuotaRule& rule,
                     std::span<const Request* const> requests, std::span<Answer> answers,
                     Instant now) {
  const Request& first = *requests.front();
  const Instant resets_at = pg::read_timestamptz(row.datum(period_end_column));
  const QuotaState before = state_of(row);
  QuotaState state = before;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Decision decision = decide(rule, state, requests[i]->amount);
    if (decision.allowed) {
      decision = counted(rule, state, requests[i]->amount);
      state.used += requests[i]->amount;
    }
    answers[i] = answer_of(decision, state, resets_at);
  }
  if (state.used == before.used) return InPlace::done;
  const std::int64_t lifetime =
      lifetime_after(pg::read_int8(row.datum(lifetime_column)), state.used - before.used);
  const std::array<pg::KeyedRow::Change, 2> changes{
      {{used_column, pg::int8(state.used)}, {lifetime_column, pg::int8(lifetime)}}};
  if (!row.update(changes)) return InPlace::cannot_tell;
  emit_crossing_of(first, rule, before, state.used, resets_at, now);
  return InPlace::done;
}

// Without planner and executor. Several requests at once are not counted on a stripe: the second
// could need the gate while the first holds it.
InPlace count_in_place(pg::KeyedRow& row, std::span<const Request* const> requests,
                       std::span<Answer> answers, const Catalog& plans, Instant now) {
  const Request& first = *requests.front();
  if (!row.find(first.account_id, first.feature)) return InPlace::cannot_tell;
  const std::optional<QuotaRule> rule = rule_at_hand(row, first.feature, plans, now);
  if (!rule) return InPlace::cannot_tell;
  if (pg::read_int4(row.datum(stripes_column)) == 0)
    return count_in_row(row, *rule, requests, answers, now);
  if (requests.size() > 1) return InPlace::cannot_tell;
  return count_in_stripe(row, *rule, first, answers[0], now);
}

// Each time a stripe's next turn went to somebody else, so everybody gets a turn; only a crowd on
// one stripe leaves it and takes turns at the gate.
constexpr int most_turns = 100;

std::optional<Answer> count_one_in_place(const Request& request, const Catalog& plans,
                                         Instant now) {
  const Request* requests[] = {&request};
  Answer answers[1];
  const int turns = IsolationUsesXactSnapshot() ? 1 : most_turns;
  for (int turn = 0; turn < turns; ++turn) {
    pg::Command command;
    pg::KeyedRow row("entitlement");
    const InPlace result = count_in_place(row, requests, answers, plans, now);
    if (result == InPlace::done) return answers[0];
    if (result == InPlace::cannot_tell) break;
  }
  return std::nullopt;
}

// ---- by statement -------------------------------------------------------------------------------

// Counts in one statement when the row is there and fresh and the amount fits.
std::optional<Answer> count_at_once(const Request& request, Catalog& plans, Instant now) {
  const pg::Rows rows = count_usage.run({pg::text(request.account_id), pg::text(request.feature),
                                         pg::int8(request.amount), pg::timestamptz(now)});
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  const std::optional<std::string> override_value = row.optional_text(6);
  const QuotaRule rule =
      quota_rule(plans, plans.version(row.optional_text(4), row.optional_int4(5)), request.feature,
                 override_value);
  const QuotaState before{AccountStatus::active, row.int8(0) - request.amount, row.int8(1),
                          row.int8(2)};
  const Instant resets_at = row.timestamptz(3);
  emit_crossing(request.account_id, request.feature, rule, before, row.int8(0), resets_at, now);
  return answer_of(counted(rule, before, request.amount), before, resets_at);
}

// Decides and counts under the row's lock: opens a new period, keeps idempotency keys.
Answer count_locked(const Request& request, Catalog& plans, Instant now) {
  Counter counter = locked_counter(request.account_id, request.feature, plans, now);
  const IdempotencyKey key = request.idempotency();
  if (const auto answers = remembered(key)) return answers->front().answer;
  Answer answer = counter.decide(request.amount);
  if (!answer.allowed) return answer;
  answer = counter.count(request.amount);
  store(counter, now);
  remember(key, {{request.feature, answer}}, now);
  return answer;
}

Answer foresee(const Request& request, Catalog& plans, Instant now) {
  pg::Command command;
  return seen_counter(request.account_id, request.feature, plans, now).decide(request.amount);
}

Answer count_by_statement(const Request& request, Catalog& plans, Instant now) {
  pg::Spi spi;
  if (!request.key)
    if (const auto answer = count_at_once(request, plans, now)) return *answer;
  const IdempotencyKey key = request.idempotency();
  if (const auto answers = remembered(key)) return answers->front().answer;
  const Answer foreseen = foresee(request, plans, now);
  if (foreseen.allowed) return count_locked(request, plans, now);
  // Refused without a lock, so nothing was written. What used the quota up may have been this very
  // request, sent at the same time.
  if (const auto answers = remembered(key)) return answers->front().answer;
  return foreseen;
}

Answer check_and_increment(const Request& request) {
  const auto plans = catalog();
  plans->feature(request.feature);
  const Instant now = pg::now();
  if (!request.key)
    if (const auto answer = count_one_in_place(request, *plans, now)) return *answer;
  return count_by_statement(request, *plans, now);
}

// ---- batches ------------------------------------------------------------------------------------

constexpr std::size_t longest_batch = 100'000;

void require_same_length(std::size_t length, std::size_t expected, const char* name) {
  if (length == expected) return;
  throw Error(sqlstate::invalid_argument,
              std::string("argument \"") + name + "\" has " + std::to_string(length) +
                  " elements, account_ids has " + std::to_string(expected),
              {}, "Pass arrays of equal length.");
}

std::vector<Request> read_batch(const pg::Arguments& arguments) {
  const std::vector<std::string> account_ids = arguments.ids(0, "account_ids");
  const std::size_t count = account_ids.size();
  if (count > longest_batch)
    throw Error(sqlstate::limit_reached,
                "a batch of " + std::to_string(count) + " increments is too long",
                "At most " + std::to_string(longest_batch) + " are counted in one call.",
                "Split it into several calls.");
  const std::vector<std::string> features = arguments.ids(1, "features");
  require_same_length(features.size(), count, "features");
  const std::vector<std::int64_t> amounts =
      arguments.is_null(2) ? std::vector<std::int64_t>(count, 1) : arguments.int8s(2, "amounts");
  require_same_length(amounts.size(), count, "amounts");
  std::vector<std::string> keys;
  if (!arguments.is_null(3)) {
    keys = arguments.ids(3, "idempotency_keys");
    require_same_length(keys.size(), count, "idempotency_keys");
  }
  std::vector<Request> batch;
  batch.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    require_amount(amounts[i]);
    batch.push_back({account_ids[i], features[i], amounts[i],
                     keys.empty() ? std::nullopt : std::optional(keys[i])});
  }
  return batch;
}

// In the order of locks; what is asked of one counter stays in the order it was asked.
std::vector<const Request*> in_lock_order(const std::vector<Request>& batch) {
  std::vector<const Request*> order(batch.size());
  std::transform(batch.begin(), batch.end(), order.begin(), [](const Request& r) { return &r; });
  std::stable_sort(order.begin(), order.end(), [](const Request* a, const Request* b) {
    return std::tie(a->account_id, a->feature) < std::tie(b->account_id, b->feature);
  });
  return order;
}

void count_group(pg::KeyedRow& row, std::span<const Request* const> group,
                 std::span<Answer> answers, Catalog& plans, Instant now) {
  const bool keyed = group.front()->key.has_value();
  if (!keyed && count_in_place(row, group, answers, plans, now) == InPlace::done) return;
  for (std::size_t i = 0; i < group.size(); ++i)
    answers[i] = count_by_statement(*group[i], plans, now);
}

// Each is decided for itself. The answers are in the order of the batch.
std::vector<Answer> count_batch(const std::vector<Request>& batch, Catalog& plans, Instant now) {
  const std::vector<const Request*> order = in_lock_order(batch);
  std::vector<Answer> in_order(batch.size()), answers(batch.size());
  pg::Command command;
  pg::KeyedRow row("entitlement");
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    for (end = begin + 1; end < order.size() && order[end]->same_counter(*order[begin]);) ++end;
    plans.feature(order[begin]->feature);
    count_group(row, std::span(order).subspan(begin, end - begin),
                std::span(in_order).subspan(begin, end - begin), plans, now);
  }
  for (std::size_t i = 0; i < order.size(); ++i)
    answers[static_cast<std::size_t>(order[i] - batch.data())] = std::move(in_order[i]);
  return answers;
}

Datum decision_datum(FunctionCallInfo fcinfo, const Request& request, const Answer& answer) {
  return pg::composite(fcinfo, decision_columns(request.account_id, request.feature, answer));
}

}  // namespace

// check_and_increment(account_id, feature, amount, idempotency_key) → decision
PURSER_FUNCTION(purser_check_and_increment) {
  const Request request = read_request(fcinfo);
  const Answer answer = check_and_increment(request);
  return decision_datum(fcinfo, request, answer);
}

// require_quota(account_id, feature, amount, idempotency_key) → decision, or an error
PURSER_FUNCTION(purser_require_quota) {
  const Request request = read_request(fcinfo);
  const Answer answer = check_and_increment(request);
  require_allowed(request.account_id, {request.feature, answer}, request.amount);
  return decision_datum(fcinfo, request, answer);
}

// check_and_increment_batch(account_ids, features, amounts, idempotency_keys) → setof decision
PURSER_FUNCTION(purser_check_and_increment_batch) {
  const std::vector<Request> batch = read_batch(pg::Arguments(fcinfo));
  pg::RowSet result(fcinfo);
  const auto plans = catalog();
  const std::vector<Answer> answers = count_batch(batch, *plans, pg::now());
  for (std::size_t i = 0; i < batch.size(); ++i)
    result.add(decision_columns(batch[i].account_id, batch[i].feature, answers[i]));
  return 0;
}

// check_quota(account_id, feature, amount) → decision
PURSER_FUNCTION(purser_check_quota) {
  const Request request = read_request(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  plans->feature(request.feature);
  const Counter counter = seen_counter(request.account_id, request.feature, *plans, pg::now());
  return decision_datum(fcinfo, request, counter.decide(request.amount));
}

// usage(account_id) → setof decision: every metered feature, as the next call would be answered
PURSER_FUNCTION(purser_usage) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  for (const auto& [feature, counter] : seen_counters(account_id, *plans, pg::now()))
    result.add(decision_columns(account_id, feature, counter.decide(1)));
  return 0;
}

// _admits(status, plan, pinned_version, feature, per, override, used, held, carried, amount) →
// boolean: whether a row of entitlement takes the amount as it stands. False also when only
// count_locked() can tell: the period's kind changed, or the plan is not in this session's memory.
PURSER_FUNCTION(purser_admits) {
  const pg::Arguments arguments(fcinfo);
  const Catalog* plans = loaded_catalog();
  if (plans == nullptr) return BoolGetDatum(false);
  const auto text = [&](int i) {
    return arguments.is_null(i) ? std::string_view() : pg::read_text(arguments.datum(i));
  };
  const PlanVersion* plan = plans->cached_version(text(1), arguments.optional_int4(2));
  if (plan == nullptr) return BoolGetDatum(false);
  const auto feature = plan->features.find(text(3));
  if (feature == plan->features.end() || feature->second.kind != FeatureKind::quota)
    return BoolGetDatum(false);
  const QuotaRule rule = quota_rule(*plans, *plan, text(3),
                                    arguments.is_null(5) ? std::nullopt : std::optional(text(5)));
  if (text(4) != per_word(rule)) return BoolGetDatum(false);
  const QuotaState state{stored_status(text(0)), pg::read_int8(arguments.datum(6)),
                         pg::read_int8(arguments.datum(7)), pg::read_int8(arguments.datum(8))};
  return BoolGetDatum(decide(rule, state, arguments.int8(9, "amount")).allowed);
}

}  // namespace purser
