// Calls for several features, batches, holds and the enforcing trigger under many real connections:
// all or nothing, exact, and without deadlock however the calls overlap (QUO-3, 5, 14, 15).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

class QuotaTogether : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Session session;
    publish_test_plan(session);
  }

  long number(const std::string& sql) { return std::stol(only(session.run(sql))); }

  long used(const std::string& account, const std::string& feature) {
    return number("SELECT used FROM purser.check_quota(" + session.quoted(account) + ", " +
                  session.quoted(feature) + ")");
  }

  Session session;
};

int count_true(const std::vector<Outcome>& outcomes) {
  int count = 0;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.ok()) << outcome.sqlstate << " " << outcome.message;
    count += outcome.ok() && text(outcome.rows, 0, 0) == "t";
  }
  return count;
}

}  // namespace

TEST_F(QuotaTogether, AllOrNothingForAHundredCallers) {
  session.run("SELECT purser.record_usage('together', 'chat', 20)");  // 30 of 50 are left
  const auto outcomes = all_at_once(std::vector<std::string>(
      100,
      "SELECT bool_and(allowed)"
      "  FROM purser.check_and_increment_all('together', '{\"minutes\": 2, \"chat\": 1}')"));
  EXPECT_EQ(count_true(outcomes), 30);
  EXPECT_EQ(used("together", "chat"), 50);
  EXPECT_EQ(used("together", "minutes"), 60);
}

TEST_F(QuotaTogether, AHundredHoldersGetExactlyWhatThereIsAndSettleEachOnce) {
  const auto held = all_at_once(std::vector<std::string>(
      100, "SELECT allowed FROM purser.hold_quota('holders', 'exports', 4, '1 hour')"));
  EXPECT_EQ(count_true(held), 25);
  EXPECT_EQ(used("holders", "exports"), 0);

  // Each hold is committed and released by four at once: one of them settles it.
  const auto ids = session.run(
      "SELECT hold_id FROM purser.quota_hold WHERE account_id = 'holders' ORDER BY hold_id");
  std::vector<std::string> calls;
  for (int i = 0; i < static_cast<int>(ids.size()); ++i) {
    const std::string whose = "('holders', " + session.quoted(text(ids, i, 0));
    for (const char* amount : {"1", "2", "3"})
      calls.push_back("SELECT hold_id FROM purser.commit_quota" + whose + ", " + amount + ")");
    calls.push_back("SELECT hold_id FROM purser.release_quota" + whose + ")");
  }
  int settled = 0;
  for (const Outcome& outcome : all_at_once(calls)) {
    EXPECT_TRUE(outcome.ok() || outcome.sqlstate == "PU006") << outcome.message;
    settled += outcome.ok();
  }
  EXPECT_EQ(settled, 25);
  EXPECT_EQ(used("holders", "exports"),
            number("SELECT coalesce(sum(committed), 0) FROM purser.quota_hold"
                   " WHERE account_id = 'holders'"));
  EXPECT_EQ(number("SELECT held FROM purser.check_quota('holders', 'exports')"), 0);
}

TEST_F(QuotaTogether, OverlappingBatchesCountEverythingAndNeverDeadlock) {
  constexpr int sessions = 8, batches = 40, length = 30;
  const unsigned first_seed = seed();
  crowd(sessions, "", [&](int self, Session& own) {
    std::mt19937 random(first_seed + static_cast<unsigned>(self));
    for (int i = 0; i < batches; ++i) {
      std::string accounts, features;
      for (int k = 0; k < length; ++k) {
        accounts += (k ? ",batch-" : "batch-") + std::to_string(random() % 6);
        features += (k ? "," : "") + std::string(random() % 2 ? "minutes" : "batch_units");
      }
      const Outcome outcome =
          own.attempt("SELECT count(*) FROM purser.check_and_increment_batch('{" + accounts +
                      "}', '{" + features + "}')");
      ASSERT_TRUE(outcome.ok()) << outcome.sqlstate << " " << outcome.message;
    }
  });
  // What is over a limit is refused one by one; the rest is there.
  EXPECT_EQ(number("SELECT sum(used) FROM purser.entitlement"
                   " WHERE account_id LIKE 'batch-%' AND feature = 'batch_units'") +
                number("SELECT sum(used) FROM purser.entitlement"
                       " WHERE account_id LIKE 'batch-%' AND feature = 'minutes'"),
            sessions * batches * length);
  EXPECT_EQ(number("SELECT count(*) FROM purser.entitlement"
                   " WHERE account_id LIKE 'batch-%' AND used <> lifetime"),
            0);
}

TEST_F(QuotaTogether, ATriggerLetsExactlyTheQuotaIn) {
  session.run("CREATE TABLE guarded (id bigint GENERATED ALWAYS AS IDENTITY, owner text)");
  session.run(
      "CREATE TRIGGER counted AFTER INSERT ON guarded REFERENCING NEW TABLE AS added"
      " FOR EACH STATEMENT EXECUTE FUNCTION purser.enforce_quota('exports', 'owner')");
  const auto outcomes = all_at_once(std::vector<std::string>(
      60, "INSERT INTO guarded (owner) SELECT 'guarded' FROM generate_series(1, 3)"));
  int inserted = 0;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.ok() || outcome.sqlstate == "PU001") << outcome.message;
    inserted += outcome.ok();
  }
  EXPECT_EQ(inserted, 33);  // of 100
  EXPECT_EQ(number("SELECT count(*) FROM guarded"), 99);
  EXPECT_EQ(used("guarded", "exports"), 99);
  session.run("DROP TABLE guarded");
}

// Whole requests beside single increments and charges: what a request was refused left no part.
TEST_F(QuotaTogether, WholeRequestsLeaveNoPartBehind) {
  session.run("SELECT purser.grant_credits('whole', 60, 'purchased', 'grant')");
  std::vector<std::string> calls;
  for (int i = 0; i < 60; ++i) {
    const std::string id = std::to_string(i);
    calls.push_back(
        "SELECT bool_and(allowed) FROM purser.check_request('whole', '{\"quotas\": {\"chat\": 1,"
        " \"minutes\": 3}, \"charge\": {\"amount\": 1, \"reason\": \"work\"}}', 'request-" +
        id + "')");
    if (i % 3 == 0)
      calls.push_back(
          "SELECT 'single' FROM purser.check_and_increment('whole', 'chat')"
          " WHERE allowed");
    if (i % 3 == 1)
      calls.push_back("SELECT 'charge' FROM purser.charge_credits('whole', 1, 'work', 'alone-" +
                      id + "')");
  }
  std::map<std::string, int> count;
  for (const Outcome& outcome : all_at_once(calls)) {
    ASSERT_TRUE(outcome.ok() || outcome.sqlstate == "PU002") << outcome.message;
    if (outcome.ok() && !outcome.rows.empty()) ++count[text(outcome.rows, 0, 0)];
  }
  EXPECT_EQ(used("whole", "chat"), count["t"] + count["single"]);
  EXPECT_EQ(used("whole", "minutes"), 3 * count["t"]);
  EXPECT_EQ(number("SELECT purser.credit_balance('whole')::int"),
            60 - count["t"] - count["charge"]);
  EXPECT_EQ(used("whole", "chat"), 50) << "the quota is given out to the last";
}

// Counting, with the first use of yet another feature, beside changes of the account's plan: each
// waits for the other, and neither is ended for a deadlock.
TEST_F(QuotaTogether, FirstUsesAndChangesOfPlanNeverDeadlock) {
  constexpr int rounds = 60;
  std::vector<Outcome> failures;
  for (int round = 0; round < rounds; ++round) {
    const std::string account = "'first-" + std::to_string(round) + "'";
    session.run("SELECT purser.check_and_increment(" + account + ", 'minutes')");
    crowd(2, "", [&](int self, Session& own) {
      if (self == 0) {
        own.run("SELECT purser.change_plan(" + account + ", 'free')");
        return;
      }
      own.run("BEGIN");
      own.run("SELECT purser.check_and_increment(" + account + ", 'minutes')");
      own.run("SELECT purser.check_and_increment(" + account + ", 'chat')");
      own.run("COMMIT");
    });
    ASSERT_EQ(number("SELECT sum(used) FROM purser.entitlement WHERE account_id = " + account), 3);
  }
}

}  // namespace purser::test
