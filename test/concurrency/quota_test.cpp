// Quotas under many real connections: exactly the limit is given out (QUO-1), also for an account
// nobody used yet and at the instant a period begins (QUO-6); a keyed increment counts once
// (QUO-11).
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int limit = 50;  // of "chat"

class Quota : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Session session;
    publish_test_plan(session);
  }

  std::string increment(const std::string& account, const std::string& feature, int amount = 1,
                        const std::string& key = {}) {
    return "SELECT * FROM purser.check_and_increment(" + session.quoted(account) + ", " +
           session.quoted(feature) + ", " + std::to_string(amount) + ", " +
           (key.empty() ? "NULL" : session.quoted(key)) + ")";
  }

  long used(const std::string& account, const std::string& feature) {
    return std::stol(
        only(session.run("SELECT used FROM purser.entitlement WHERE account_id = " +
                         session.quoted(account) + " AND feature = " + session.quoted(feature))));
  }

  Session session;
};

bool allowed(const Outcome& outcome) {
  return text(outcome.rows, 0, 0) == "t";
}

std::string row_of(const Outcome& outcome) {
  std::string row = outcome.sqlstate + outcome.message;
  if (!outcome.ok()) return row;
  for (int column = 0; column < static_cast<int>(outcome.rows.columns()); ++column)
    row += text(outcome.rows, 0, column) + "|";
  return row;
}

void expect_all_succeeded(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.ok()) << outcome.message;
}

int count_allowed(const std::vector<Outcome>& outcomes) {
  int count = 0;
  for (const Outcome& outcome : outcomes) count += outcome.ok() && allowed(outcome);
  return count;
}

// Each allowed caller was told another count: 1, 2, 3 … with no number given twice.
void expect_distinct_counts(const std::vector<Outcome>& outcomes) {
  std::set<std::string> counts;
  for (const Outcome& outcome : outcomes)
    if (outcome.ok() && allowed(outcome)) {
      EXPECT_TRUE(counts.insert(text(outcome.rows, 0, 4)).second)
          << "two callers were both told they are number " << text(outcome.rows, 0, 4);
    }
}

}  // namespace

TEST_F(Quota, HundredCallersForFiftyUnitsAllowExactlyFifty) {
  session.run(increment("used-before", "minutes", 950));
  const auto outcomes =
      all_at_once(std::vector<std::string>(100, increment("used-before", "minutes")));
  expect_all_succeeded(outcomes);
  EXPECT_EQ(count_allowed(outcomes), 50);
  EXPECT_EQ(used("used-before", "minutes"), 1000);
  expect_distinct_counts(outcomes);
}

TEST_F(Quota, HundredFirstCallersMakeOneAccountAndAllowExactlyFifty) {
  const auto outcomes = all_at_once(std::vector<std::string>(100, increment("brand-new", "chat")));
  expect_all_succeeded(outcomes);
  EXPECT_EQ(count_allowed(outcomes), limit);
  EXPECT_EQ(used("brand-new", "chat"), limit);
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.account"
                             " WHERE account_id = 'brand-new'")),
            "1");
  expect_distinct_counts(outcomes);
}

TEST_F(Quota, HundredCallersAtAPeriodBoundaryStartFromZeroOnce) {
  session.run("SET purser.now = '2026-03-09 23:59:59Z'");
  session.run(increment("midnight", "chat", limit));
  const auto outcomes = all_at_once(std::vector<std::string>(100, increment("midnight", "chat")),
                                    "SET purser.now = '2026-03-10 00:00:00Z'");
  expect_all_succeeded(outcomes);
  EXPECT_EQ(count_allowed(outcomes), limit);
  EXPECT_EQ(used("midnight", "chat"), limit);
  const auto closed =
      session.run("SELECT used, period_end FROM purser.usage_period WHERE account_id = 'midnight'");
  ASSERT_EQ(closed.size(), 1u) << "the old period was closed once";
  EXPECT_EQ(text(closed, 0, 0), "50");
}

// Callers whose clock still shows yesterday meet callers in today: no day takes more than its
// quota, every allowed unit is in exactly one of the two days, and today never falls back.
TEST_F(Quota, CallersOnBothSidesOfMidnightShareTwoWholeQuotas) {
  std::vector<Outcome> outcomes(120);
  crowd(120, {}, [&](int i, Session& caller) {
    const auto self = static_cast<std::size_t>(i);
    caller.run(i % 2 == 0 ? "SET purser.now = '2026-03-09 23:59:59Z'"
                          : "SET purser.now = '2026-03-10 00:00:00Z'");
    outcomes[self] = caller.attempt(increment("both-days", "chat"));
  });
  expect_all_succeeded(outcomes);
  const auto days = session.run(
      "SELECT count(*), max(used), sum(used) FROM purser.usage_history"
      " WHERE account_id = 'both-days'");
  EXPECT_LE(std::stol(text(days, 0, 0)), 2);
  EXPECT_LE(std::stol(text(days, 0, 1)), limit);
  EXPECT_EQ(std::stol(text(days, 0, 2)), count_allowed(outcomes));
  EXPECT_EQ(used("both-days", "chat"), limit) << "today had more callers than units";
}

// A refused caller asked for more than was left at that moment, and what is left only shrinks.
TEST_F(Quota, DifferentAmountsNeverExceedTheLimitNorLeaveRoomForARefusedOne) {
  std::vector<std::string> statements;
  for (int i = 0; i < 100; ++i) statements.push_back(increment("amounts", "chat", 1 + i % 3));
  const auto outcomes = all_at_once(statements);
  expect_all_succeeded(outcomes);
  long counted = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    if (allowed(outcomes[i])) counted += 1 + static_cast<long>(i % 3);
  EXPECT_EQ(counted, used("amounts", "chat"));
  EXPECT_LE(counted, limit);
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    if (!allowed(outcomes[i])) {
      EXPECT_GT(counted + 1 + static_cast<long>(i % 3), limit);
    }
}

TEST_F(Quota, CallersThatRollBackLeaveNoCount) {
  std::vector<Outcome> outcomes(60);
  crowd(60, {}, [&](int i, Session& caller) {
    const auto self = static_cast<std::size_t>(i);
    caller.run("BEGIN");
    outcomes[self] = caller.attempt(increment("rolled-back", "exports"));
    caller.run(i % 3 == 0 ? "COMMIT" : "ROLLBACK");
  });
  expect_all_succeeded(outcomes);
  EXPECT_EQ(count_allowed(outcomes), 60);
  EXPECT_EQ(used("rolled-back", "exports"), 20);
}

TEST_F(Quota, FiftyCopiesOfOneKeyedIncrementCountOnce) {
  session.run(increment("keyed", "chat", 3));
  const auto outcomes =
      all_at_once(std::vector<std::string>(50, increment("keyed", "chat", 2, "one-click")));
  expect_all_succeeded(outcomes);
  for (const Outcome& outcome : outcomes) EXPECT_EQ(row_of(outcome), row_of(outcomes[0]));
  EXPECT_EQ(used("keyed", "chat"), 5);
}

TEST_F(Quota, FiftyCopiesOfAFirstKeyedIncrementCountOnce) {
  const auto outcomes =
      all_at_once(std::vector<std::string>(50, increment("keyed-new", "chat", 2, "one-click")));
  expect_all_succeeded(outcomes);
  for (const Outcome& outcome : outcomes) EXPECT_EQ(row_of(outcome), row_of(outcomes[0]));
  EXPECT_EQ(used("keyed-new", "chat"), 2);
}

// The copy that counted took the last unit: the others must still get its answer, not a refusal.
TEST_F(Quota, CopiesOfTheKeyedIncrementThatTookTheLastUnitAreAllAllowed) {
  for (int round = 0; round < 5; ++round) {
    const std::string account = "last-unit-" + std::to_string(round);
    const auto outcomes =
        all_at_once(std::vector<std::string>(50, increment(account, "once", 1, "one-click")));
    expect_all_succeeded(outcomes);
    for (const Outcome& outcome : outcomes) EXPECT_EQ(row_of(outcome), row_of(outcomes[0]));
    EXPECT_EQ(count_allowed(outcomes), 50);
    EXPECT_EQ(used(account, "once"), 1);
  }
}

TEST_F(Quota, TwoRequestsUnderOneKeyCountTheFirstAndRefuseTheOther) {
  std::vector<std::string> statements;
  for (int i = 0; i < 50; ++i)
    statements.push_back(increment("two-requests", "chat", 1 + i % 2, "one-click"));
  const auto outcomes = all_at_once(statements);
  std::map<std::string, int> states[2];
  for (std::size_t i = 0; i < outcomes.size(); ++i) ++states[i % 2][outcomes[i].sqlstate];
  const int winner = states[0].contains("") ? 0 : 1;
  EXPECT_EQ(states[winner], (std::map<std::string, int>{{"", 25}}));
  EXPECT_EQ(states[1 - winner], (std::map<std::string, int>{{"PU005", 25}}));
  EXPECT_EQ(used("two-requests", "chat"), 1 + winner);
}

// Usage carried from days into a month closes with the month, beside the days it began with
// (QUO-7).
TEST_F(Quota, UsageCarriedIntoALongerPeriodClosesWithIt) {
  session.run(
      "SELECT purser.publish_plan('monthly', '{\"name\": \"Monthly\", \"features\":"
      " {\"chat\": {\"quota\": 500, \"per\": \"month\"}}}', 'test', 'for the tests')");
  session.run("SET purser.now = '2026-01-01 10:00Z'");
  session.run(increment("carried", "chat", 5));
  session.run("SET purser.now = '2026-01-02 10:00Z'");
  session.run(increment("carried", "chat", 7));
  session.run("SELECT purser.change_plan('carried', 'monthly')");
  session.run(increment("carried", "chat", 11));
  session.run("SET purser.now = '2026-02-01 10:00Z'");
  session.run(increment("carried", "chat", 13));
  EXPECT_EQ(only(session.run(
                "SELECT string_agg(used::text, ', ' ORDER BY period_end) FROM purser.usage_history"
                " WHERE account_id = 'carried'")),
            "5, 18, 13");
}

}  // namespace purser::test
