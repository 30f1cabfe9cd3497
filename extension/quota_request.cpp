// check_and_increment_all.
//
// Locks: the entitlements of the account, by feature.
#include "extension/quota_request.hpp"

#include <algorithm>

#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

namespace {

template <class Find>
RequestedQuotas decide_on(const Amounts& amounts, Find find) {
  RequestedQuotas quotas;
  for (const auto& [feature, amount] : amounts) {
    quotas.counters.push_back(find(feature));
    quotas.amounts.push_back(amount);
    quotas.answers.push_back({feature, quotas.counters.back().decide(amount)});
  }
  return quotas;
}

IdempotencyKey idempotency(const std::string& account_id, const Amounts& amounts,
                           std::optional<std::string> key) {
  Canonical canonical("check_and_increment_all/1");
  for (const auto& [feature, amount] : amounts)
    canonical.add("feature", feature).add("amount", amount);
  return {account_id, std::move(key), pg::sha256(canonical.bytes())};
}

Answers count_all(const std::string& account_id, const Amounts& amounts, const IdempotencyKey& key,
                  Catalog& plans, Instant now) {
  if (auto answers = remembered(key)) return *answers;
  {
    pg::Command command;
    RequestedQuotas foreseen = foresee_quotas(account_id, amounts, plans, now);
    // Refused without a lock, unless it was this very request that used the quota up.
    if (!foreseen.allowed()) {
      auto answers = remembered(key);
      return answers ? *answers : foreseen.answers;
    }
  }
  RequestedQuotas quotas = lock_quotas(account_id, amounts, plans, now);
  if (auto answers = remembered(key)) return *answers;
  if (!quotas.allowed()) return quotas.answers;
  quotas.count(now);
  remember(key, quotas.answers, now);
  return quotas.answers;
}

}  // namespace

bool RequestedQuotas::allowed() const {
  return std::all_of(answers.begin(), answers.end(),
                     [](const FeatureAnswer& given) { return given.answer.allowed; });
}

void RequestedQuotas::count(Instant now) {
  for (std::size_t i = 0; i < counters.size(); ++i) {
    answers[i].answer = counters[i].count(amounts[i]);
    store(counters[i], now);
  }
}

RequestedQuotas foresee_quotas(const std::string& account_id, const Amounts& amounts,
                               Catalog& plans, Instant now) {
  return decide_on(amounts, [&](const std::string& feature) {
    return seen_counter(account_id, feature, plans, now);
  });
}

RequestedQuotas lock_quotas(const std::string& account_id, const Amounts& amounts, Catalog& plans,
                            Instant now) {
  return decide_on(amounts, [&](const std::string& feature) {
    return locked_counter(account_id, feature, plans, now);
  });
}

// _lock_quotas(account_id, amounts) → setof decision: decides and counts nothing, and keeps the
// locks
PURSER_FUNCTION(purser_lock_quotas) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const Amounts amounts = read_amounts(arguments.optional_jsonb(1, "amounts").value_or("null"));
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  for (const auto& [feature, amount] : amounts) plans->feature(feature);
  for (const auto& [feature, answer] : lock_quotas(account_id, amounts, *plans, pg::now()).answers)
    result.add(decision_columns(account_id, feature, answer));
  return 0;
}

// check_and_increment_all(account_id, amounts, idempotency_key) → setof decision
PURSER_FUNCTION(purser_check_and_increment_all) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const Amounts amounts = read_amounts(arguments.optional_jsonb(1, "amounts").value_or("null"));
  const IdempotencyKey key =
      idempotency(account_id, amounts, arguments.optional_id(2, "idempotency_key"));
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const auto plans = catalog();
  for (const auto& [feature, amount] : amounts) plans->feature(feature);
  for (const auto& [feature, answer] : count_all(account_id, amounts, key, *plans, pg::now()))
    result.add(decision_columns(account_id, feature, answer));
  return 0;
}

}  // namespace purser
