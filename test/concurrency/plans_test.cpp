// A published plan takes effect for every connection with its commit, never before, and a publish
// that was rolled back never shows (PLAN-7).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr long first_limit = 1'000'000;
constexpr long never_published = 7;
constexpr int versions = 150;
constexpr int readers = 6;

std::string publish(long limit) {
  return "SELECT purser.publish_plan('moving', '{\"name\": \"Moving\", \"features\": {\"minutes\":"
         " {\"quota\": " +
         std::to_string(limit) + "}}}', 'test', 'for the tests')";
}

// Which limit may be seen: at least the last one whose commit was acknowledged when the call began,
// at most the last one whose commit was sent when the call ended.
struct Window {
  std::atomic<long> acknowledged{first_limit};
  std::atomic<long> sent{first_limit};
};

void publish_all(Session& session, Window& window) {
  for (int i = 1; i <= versions; ++i) {
    session.run("BEGIN");
    session.run(publish(i % 5 == 0 ? never_published : first_limit + i));
    if (i % 5 == 0) {
      session.run("ROLLBACK");
      continue;
    }
    // Long enough for every reader to look at a plan that is published but not committed.
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    window.sent = first_limit + i;
    session.run("COMMIT");
    window.acknowledged = first_limit + i;
  }
}

long watch(Session& session, const std::string& call, const Window& window,
           const Companion& publisher) {
  long calls = 0;
  while (!publisher.ended() || calls == 0) {
    const long at_least = window.acknowledged;
    const long seen = std::stol(only(session.run(call)));
    const long at_most = window.sent;
    EXPECT_GE(seen, at_least) << "a committed plan was not seen by the next call";
    EXPECT_LE(seen, at_most) << "a plan was seen before its commit";
    if (seen < at_least || seen > at_most) break;
    ++calls;
  }
  return calls;
}

std::string call_of(int reader) {
  const std::string account = "'follower-" + std::to_string(reader) + "'";
  return reader % 2 == 0
             ? "SELECT quota FROM purser.check_and_increment(" + account + ", 'minutes')"
             : "SELECT quota FROM purser.check_quota(" + account + ", 'minutes')";
}

}  // namespace

class Plans : public testing::Test {
 protected:
  void SetUp() override {
    publish_test_plan(session);
    session.run(publish(first_limit));
    for (int i = 0; i < readers; ++i)
      session.run("SELECT purser.change_plan('follower-" + std::to_string(i) + "', 'moving')");
  }

  Session session;
};

TEST_F(Plans, APublishedPlanIsSeenByTheNextCallAndNeverBeforeItsCommit) {
  Window window;
  std::atomic<long> calls{0};
  Companion publisher([&](const std::atomic<bool>&) { publish_all(session, window); });
  crowd(readers, {}, [&](int i, Session& reader) {
    // A long transaction must not keep an old plan either.
    if (i == 5) reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    calls += watch(reader, call_of(i), window, publisher);
  });
  publisher.finish(false);
  EXPECT_GT(calls, versions) << "the readers looked at every version";
}

TEST_F(Plans, TheSessionThatRollsBackItsOwnPublishForgetsIt) {
  const std::string quota = "SELECT quota FROM purser.check_quota('follower-0', 'minutes')";
  session.run("BEGIN");
  session.run(publish(never_published));
  EXPECT_EQ(only(session.run(quota)), std::to_string(never_published));
  session.run("ROLLBACK");
  EXPECT_EQ(only(session.run(quota)), std::to_string(first_limit));
  session.run("BEGIN");
  session.run("SAVEPOINT before");
  session.run(publish(never_published));
  EXPECT_EQ(only(session.run(quota)), std::to_string(never_published));
  session.run("ROLLBACK TO before");
  EXPECT_EQ(only(session.run(quota)), std::to_string(first_limit));
  session.run("COMMIT");
}

// A downgrade under load: what is counted after the commit obeys the new limit at once.
TEST_F(Plans, NoUnitIsGivenOutAboveALimitThatWasLowered) {
  session.run(publish(first_limit));
  std::atomic<bool> lowered{false};
  Companion publisher([&](const std::atomic<bool>&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    session.run(publish(10));
    lowered = true;
  });
  crowd(8, {}, [&](int, Session& caller) {
    for (int after = 0; after < 20 && (lowered || !publisher.ended());) {
      const bool was_lowered = lowered;
      const auto decision = caller.run(
          "SELECT allowed, used FROM purser.check_and_increment('follower-1', 'minutes')");
      if (was_lowered) {
        EXPECT_EQ(text(decision, 0, 0), "f") << "at " << text(decision, 0, 1) << " of 10";
        ++after;
      }
    }
  });
  publisher.finish(false);
}

}  // namespace purser::test
