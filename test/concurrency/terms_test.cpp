// What an account may do changes for every connection with the commit of whoever changes it, never
// before: its plan, an override, its status (PLAN-9, SUB-2, ACC-2), two hundred times under load.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int changes = 70, readers = 3;

// Numbers the changes: what is seen must be a state between the last one acknowledged when the call
// began and the last one sent when it ended.
struct Window {
  std::atomic<int> acknowledged{0}, sent{0};
};

// One thing that changes, and how it shows in a decision.
struct Subject {
  std::string account;
  std::function<std::string(int)> change;    // the statement that makes change number i
  std::function<std::string(int)> expected;  // what a call answers after it
  std::string answer;                        // the column of the decision that shows it
};

void change_all(const Subject& subject, Window& window) {
  Session session;
  for (int i = 1; i <= changes; ++i) {
    session.run("BEGIN");
    session.run(subject.change(i));
    if (i % 7 == 0) {  // one that is rolled back and made again
      session.run("ROLLBACK");
      session.run("BEGIN");
      session.run(subject.change(i));
    }
    // Long enough for the readers to meet terms that are changed but not committed.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    window.sent = i;
    session.run("COMMIT");
    window.acknowledged = i;
  }
}

bool possible(const Subject& subject, const std::string& seen, int from, int to) {
  for (int i = from; i <= to; ++i)
    if (subject.expected(i) == seen) return true;
  return false;
}

int watch(Session& session, const Subject& subject, const std::string& function,
          const Window& window, const Companion& writer) {
  const std::string call = "SELECT " + subject.answer + " FROM purser." + function + "('" +
                           subject.account + "', 'terms_units')";
  int calls = 0;
  while (!writer.ended() || calls == 0) {
    const int from = window.acknowledged;
    const std::string seen = only(session.run(call));
    const int to = window.sent;
    EXPECT_TRUE(possible(subject, seen, from, to))
        << seen << " was seen between changes " << from << " and " << to;
    if (testing::Test::HasFailure()) break;
    ++calls;
  }
  return calls;
}

void expect_seen_with_the_commit(const Subject& subject) {
  Window window;
  std::atomic<int> calls{0};
  Companion writer([&](const std::atomic<bool>&) { change_all(subject, window); });
  crowd(readers, {}, [&](int i, Session& reader) {
    calls += watch(reader, subject, i == 0 ? "check_quota" : "check_and_increment", window, writer);
  });
  writer.finish(false);
  EXPECT_GT(calls, changes) << "the readers looked at every change";
}

class Terms : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Session session;
    publish_test_plan(session);
    session.run(
        "SELECT purser.declare_features("
        "'{\"terms_units\": {\"kind\": \"quota\", \"per\": \"lifetime\", \"default\": 1000000}}')");
    for (int i = 0; i <= changes; ++i)
      session.run(
          "SELECT purser.publish_plan('stairs', '{\"name\": \"Stairs\", \"features\":"
          " {\"terms_units\": " +
          std::to_string(1'000'000 + i) + "}}', 'test', 'for the tests')");
  }

  Session session;
};

std::string million_and(int i) {
  return std::to_string(1'000'000 + i);
}

}  // namespace

TEST_F(Terms, AChangeOfPlanIsSeenByTheNextCallAfterItsCommitAndNeverBefore) {
  const auto change = [](int i) {
    return "SELECT purser.change_plan('terms-plan', 'stairs', 'test', " + std::to_string(i + 1) +
           ")";
  };
  session.run(change(0));
  expect_seen_with_the_commit({"terms-plan", change, million_and, "quota"});
}

TEST_F(Terms, AnOverrideIsSeenByTheNextCallAfterItsCommitAndNeverBefore) {
  const auto change = [](int i) {
    return "SELECT purser.set_override('terms-override', 'terms_units', '" + million_and(i) +
           "', NULL, 'for the tests', 'test')";
  };
  session.run(change(0));
  expect_seen_with_the_commit({"terms-override", change, million_and, "quota"});
}

TEST_F(Terms, AStatusIsSeenByTheNextCallAfterItsCommitAndNeverBefore) {
  const auto change = [](int i) {
    return std::string("SELECT purser.set_account_status('terms-status', '") +
           (i % 2 ? "suspended" : "active") + "', 'test', 'for the tests')";
  };
  const auto expected = [](int i) { return std::string(i % 2 ? "account_suspended" : "ok"); };
  session.run(change(0));
  expect_seen_with_the_commit({"terms-status", change, expected, "reason"});
}

}  // namespace purser::test
