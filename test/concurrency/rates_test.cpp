// Rate limits under many real connections (RL-4, RL-5): never more than the limit passes, exactly
// as much when all come at once, a plan is followed from its commit on, and a caller that dies
// takes nothing with it. The same tests run with shared memory and with the table
// (test/suites/rates.sh).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int limit = 50;
constexpr long first_limit = 1'000'000;
constexpr long never_in_force = 7;
constexpr int changes = 120;
constexpr int callers = 6;

std::string publish(const std::string& plan, long max) {
  return "SELECT purser.publish_plan('" + plan +
         "', '{\"name\": \"Rates\", \"rate_limits\":"
         " {\"api\": {\"max\": " +
         std::to_string(max) + ", \"per\": \"day\"}}}', 'test', 'for the tests')";
}

std::string limit_by_key(const std::string& key, long max, const std::string& per, int cost = 1) {
  return "SELECT allowed, remaining, extract(epoch FROM retry_after) FROM purser.rate_limit_key('" +
         key + "', " + std::to_string(max) + ", '" + per + "', " + std::to_string(cost) + ")";
}

bool allowed(const pqxx::result& rows) {
  return text(rows, 0, 0) == "t";
}

int count_allowed(const std::vector<Outcome>& outcomes) {
  int count = 0;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.ok()) << outcome.message;
    count += outcome.ok() && allowed(outcome.rows);
  }
  return count;
}

// Which limit may be seen: at least the last one whose commit was acknowledged when the call began,
// at most the last one whose commit was sent when the call ended.
struct Window {
  std::atomic<long> acknowledged{first_limit};
  std::atomic<long> sent{first_limit};
};

// Runs `change(max)` for one limit after the other, each in a transaction that lasts a while; every
// fifth is one that never comes into force.
void change_all(Session& session, Window& window,
                const std::function<std::string(long max)>& change) {
  for (int i = 1; i <= changes; ++i) {
    session.run("BEGIN");
    if (i % 5 == 0) {
      session.run(change(never_in_force));
      session.run("ROLLBACK");
      continue;
    }
    session.run(change(first_limit + i));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    window.sent = first_limit + i;
    session.run("COMMIT");
    window.acknowledged = first_limit + i;
  }
}

void watch_account(const std::string& account, Session& session,
                   const std::function<std::string(long max)>& change) {
  Window window;
  std::atomic<long> calls{0};
  const std::string call = "SELECT \"limit\" FROM purser.rate_limit('" + account + "', 'api')";
  Companion changer([&](const std::atomic<bool>&) { change_all(session, window, change); });
  crowd(callers, {}, [&](int, Session& caller) {
    while (!changer.ended()) {
      const long at_least = window.acknowledged;
      const long seen = std::stol(only(caller.run(call)));
      const long at_most = window.sent;
      ASSERT_GE(seen, at_least) << "a committed change was not seen by the next call";
      ASSERT_LE(seen, at_most) << "a change was seen before its commit";
      ++calls;
    }
  });
  changer.finish(false);
  EXPECT_GT(calls, changes) << "the callers looked at every change";
}

class Rates : public testing::Test {
 protected:
  Session session;
};

}  // namespace

TEST_F(Rates, HundredCallersAtOncePassExactlyToTheLimit) {
  for (int round = 0; round < 3; ++round) {
    const std::string key = "burst-" + std::to_string(round);
    const auto outcomes =
        all_at_once(std::vector<std::string>(100, limit_by_key(key, limit, "1 day")));
    EXPECT_EQ(count_allowed(outcomes), limit);
    EXPECT_FALSE(allowed(session.run(limit_by_key(key, limit, "1 day"))));
  }
}

TEST_F(Rates, HundredCallersOfAnAccountPassExactlyToTheLimitOfItsPlan) {
  publish_test_plan(session);
  session.run(publish("rates-burst", limit));
  session.run("SELECT purser.subscribe('burst-account', 'rates-burst')");
  const auto outcomes = all_at_once(std::vector<std::string>(
      100, "SELECT allowed FROM purser.rate_limit('burst-account', 'api')"));
  EXPECT_EQ(count_allowed(outcomes), limit);
}

TEST_F(Rates, DifferentCostsNeverExceedTheLimitNorLeaveRoomForARefusedOne) {
  std::vector<std::string> statements;
  for (int i = 0; i < 100; ++i)
    statements.push_back(limit_by_key("costs", limit, "1 day", 1 + i % 3));
  const auto outcomes = all_at_once(statements);
  long taken = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    if (allowed(outcomes[i].rows)) taken += 1 + static_cast<long>(i % 3);
  EXPECT_LE(taken, limit);
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    if (!allowed(outcomes[i].rows)) {
      EXPECT_GT(taken + 1 + static_cast<long>(i % 3), limit);
    }
}

// While the clock runs no more pass than the burst and what came back since; and the limit is used.
TEST_F(Rates, ALimitUnderConstantPressureGivesOutWhatComesBackAndNoMore) {
  constexpr long per_second = 200;
  std::atomic<long> passed{0};
  const auto start = std::chrono::steady_clock::now();
  crowd(12, {}, [&](int, Session& caller) {
    while (std::chrono::steady_clock::now() - start < std::chrono::seconds(2))
      passed += allowed(caller.run(limit_by_key("pressure", per_second, "1 second")));
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LE(static_cast<double>(passed), per_second * (1 + seconds));
  EXPECT_GE(static_cast<double>(passed), per_second * 2) << "the limit was not given out";
}

TEST_F(Rates, AChangeOfPlanIsSeenByTheNextCallAndNeverBeforeItsCommit) {
  // One version for each limit; the account is moved from one to the next.
  session.run(publish("rates-pinned", never_in_force));
  for (int i = 0; i <= changes; ++i) session.run(publish("rates-pinned", first_limit + i));
  const auto pin = [](long max) {
    const long version = max == never_in_force ? 1 : max - first_limit + 2;
    return "SELECT purser.change_plan('rates-moved', 'rates-pinned', 'test', " +
           std::to_string(version) + ")";
  };
  session.run(pin(first_limit));
  watch_account("rates-moved", session, pin);
}

TEST_F(Rates, APublishedPlanIsSeenByTheNextCallAndNeverBeforeItsCommit) {
  session.run(publish("rates-moving", first_limit));
  session.run("SELECT purser.change_plan('rates-follower', 'rates-moving')");
  watch_account("rates-follower", session, [](long max) { return publish("rates-moving", max); });
}

TEST_F(Rates, ASessionSeesItsOwnChangeAndForgetsItWhenItRollsBack) {
  session.run(publish("rates-own", 40));
  session.run(publish("rates-own", 30));
  session.run("SELECT purser.change_plan('rates-own', 'rates-own')");
  const std::string seen = "SELECT \"limit\" FROM purser.rate_limit('rates-own', 'api')";
  EXPECT_EQ(only(session.run(seen)), "30");
  session.run("BEGIN");
  session.run("SELECT purser.change_plan('rates-own', 'rates-own', 'test', 1)");
  EXPECT_EQ(only(session.run(seen)), "40");
  session.run("ROLLBACK");
  EXPECT_EQ(only(session.run(seen)), "30");
}

// Callers are ended in the middle of it; what passed is counted, and nobody is left waiting.
TEST_F(Rates, TerminatedCallersKeepNothingLockedAndGiveNothingBack) {
  constexpr long many = 2'000;
  std::atomic<long> passed{0};
  Companion killer([&](const std::atomic<bool>& stop) {
    Session other("killer");
    while (!stop) {
      other.run(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
          " 'rates caller' ORDER BY random() LIMIT 1");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      while (std::chrono::steady_clock::now() < end) {
        try {
          Session caller("rates caller");
          Outcome outcome;
          do {
            outcome = caller.attempt(limit_by_key("terminated", many, "366 days"));
            passed += outcome.ok() && allowed(outcome.rows);
          } while (outcome.ok() && std::chrono::steady_clock::now() < end);
        } catch (const std::exception&) {
          // Ended while it connected.
        }
      }
    });
  threads.clear();
  killer.finish(true);
  EXPECT_LE(passed, many);
  EXPECT_TRUE(session.attempt(limit_by_key("terminated", many, "366 days")).ok());
  while (passed < many && allowed(session.run(limit_by_key("terminated", many, "366 days"))))
    ++passed;
  EXPECT_LE(passed, many);
}

}  // namespace purser::test
