// Hot counters under many writers: exactly the quota is given out and not a unit stays behind,
// while units come back, limits rise and stripes are switched on and off; each warning is given
// once; a transaction of one call never meets a deadlock.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int writers = 16;

// What the writers of a round were answered.
struct Tally {
  std::atomic<long> allowed{0};  // units
  std::mutex mutex;
  std::map<std::string, long> failures;  // by SQLSTATE; none is expected

  void fail(const Outcome& outcome) {
    const std::lock_guard lock(mutex);
    ++failures[outcome.sqlstate + " " + outcome.message];
  }
};

using Failures = std::map<std::string, long>;

class Hot : public testing::Test {
 protected:
  void SetUp() override { publish(100); }

  void publish(long limit) {
    session.run(
        "SELECT purser.declare_features('{\"hot_units\": {\"kind\": \"quota\", \"per\": \"day\"}}',"
        " 'test')");
    session.run(publication(limit));
  }

  static std::string publication(long limit) {
    return "SELECT purser.publish_plan('hot', '{\"name\": \"Hot\", \"features\": {\"hot_units\": {"
           "\"quota\": " +
           std::to_string(limit) + "}}}', 'test', 'for the tests')";
  }

  static std::string stripe(const std::string& account, int stripes) {
    return "SELECT purser.stripe_quota('" + account + "', 'hot_units', " + std::to_string(stripes) +
           ", 'test')";
  }

  std::string new_account(const std::string& name, int stripes) {
    const std::string account = name + "-" + std::to_string(next_account++);
    session.run("SELECT purser.change_plan('" + account + "', 'hot')");
    session.run(stripe(account, stripes));
    return account;
  }

  long used(const std::string& account) {
    return std::stol(
        only(session.run("SELECT used FROM purser.check_quota('" + account + "', 'hot_units')")));
  }

  std::string events(const std::string& account) {
    return only(
        session.run("SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind) FROM (SELECT kind,"
                    " count(*) AS n FROM purser.event WHERE account_id = '" +
                    account + "' AND kind LIKE 'quota.%' GROUP BY kind) AS e"));
  }

  static int next_account;
  Session session;
};

int Hot::next_account = 1;

// Every way to count one unit or two in one call; the rows say which of them were.
std::string increment(const std::string& account, std::mt19937& random) {
  const std::string of = "('" + account + "', 'hot_units'";
  switch (random() % 12) {
    case 0:
      return "SELECT allowed, 2 FROM purser.check_and_increment" + of + ", 2)";
    case 1:
      return "SELECT allowed, 1 FROM purser.check_and_increment" + of + ", 1, '" +
             std::to_string(random()) + "-" + std::to_string(random()) + "')";
    case 2:
      return "SELECT allowed, 1 FROM purser.check_and_increment_batch(ARRAY['" + account + "', '" +
             account + "'], ARRAY['hot_units', 'hot_units'])";
    case 3:
      return "SELECT allowed, 1 FROM purser.check_and_increment_all('" + account +
             "', '{\"hot_units\": 1}')";
    default:
      return "SELECT allowed, 1 FROM purser.check_and_increment" + of + ")";
  }
}

long counted(const Outcome& outcome) {
  long units = 0;
  for (int i = 0; i < static_cast<int>(outcome.rows.size()); ++i)
    if (text(outcome.rows, i, 0) == "t") units += std::stol(text(outcome.rows, i, 1));
  return units;
}

// Counts one by one until there is nothing left. False when the call failed.
bool drain(Session& caller, const std::string& account, Tally& tally) {
  const std::string one =
      "SELECT allowed, 1 FROM purser.check_and_increment('" + account + "', 'hot_units')";
  while (true) {
    const Outcome outcome = caller.attempt(one);
    if (!outcome.ok()) {
      tally.fail(outcome);
      return false;
    }
    if (counted(outcome) == 0) return true;
    tally.allowed += counted(outcome);
  }
}

}  // namespace

TEST_F(Hot, SixteenWritersDrainAStripedQuotaToExactlyZero) {
  constexpr long limit = 300;
  publish(limit);
  for (int round = 0; round < 12; ++round) {
    const std::string account = new_account("drained", std::vector{2, 8, 16, 64}[round % 4]);
    Tally tally;
    crowd(writers, {}, [&](int, Session& caller) { drain(caller, account, tally); });
    EXPECT_EQ(tally.failures, Failures());
    EXPECT_EQ(tally.allowed, limit);
    EXPECT_EQ(used(account), limit);
    EXPECT_EQ(events(account), "quota.critical 1, quota.exhausted 1, quota.warn 1");
  }
}

// Every way to count, in transactions of one call, against everything that changes the counter.
TEST_F(Hot, NothingIsLostWhileUnitsComeBackLimitsRiseAndStripesSwitch) {
  std::mt19937 seeds(seed());
  for (int round = 0; round < 8; ++round) {
    long limit = 200;
    publish(limit);
    const std::string account = new_account("busy", 16);
    Tally tally;
    std::atomic<long> returned{0};
    std::atomic<int> still_changing{3};
    const auto writers_seed = seeds(), switcher_seed = seeds();
    Companion refunder([&](const std::atomic<bool>&) {
      Session own;
      for (int i = 0; i < 60; ++i) {
        const Outcome outcome =
            own.attempt("SELECT purser.record_usage('" + account + "', 'hot_units', -1)");
        if (outcome.ok())
          ++returned;
        else if (outcome.sqlstate != "PU013")  // nothing used yet
          tally.fail(outcome);
      }
      --still_changing;
    });
    Companion raiser([&](const std::atomic<bool>&) {
      Session own;
      for (int i = 0; i < 10; ++i) own.run(publication(limit += 15));
      --still_changing;
    });
    Companion switcher([&](const std::atomic<bool>&) {
      Session own;
      std::mt19937 random(switcher_seed);
      for (int i = 0; i < 25; ++i) {
        const Outcome outcome =
            own.attempt(stripe(account, std::vector{0, 2, 5, 16, 64}[random() % 5]));
        if (!outcome.ok()) tally.fail(outcome);
      }
      --still_changing;
    });
    crowd(writers, {}, [&](int i, Session& caller) {
      std::mt19937 random(writers_seed + static_cast<unsigned>(i));
      while (still_changing > 0) {
        const Outcome outcome = caller.attempt(increment(account, random));
        if (!outcome.ok()) tally.fail(outcome);
        tally.allowed += counted(outcome);
      }
      drain(caller, account, tally);
    });
    refunder.finish(false);
    raiser.finish(false);
    switcher.finish(false);
    EXPECT_EQ(tally.failures, Failures());
    EXPECT_EQ(tally.allowed - returned, limit);
    EXPECT_EQ(used(account), limit);
    EXPECT_EQ(only(session.run("SELECT e.lifetime + coalesce(sum(s.used), 0) FROM"
                               " purser.entitlement AS e LEFT JOIN purser.entitlement_stripe AS s"
                               " USING (account_id, feature) WHERE e.account_id = '" +
                               account + "' GROUP BY e.lifetime")),
              std::to_string(limit));
  }
}

// Holds made and settled beside the writers: what is held is nobody else's, and comes back whole.
TEST_F(Hot, HeldUnitsAreGivenToNobodyElse) {
  constexpr long limit = 200;
  publish(limit);
  const std::string account = new_account("held", 16);
  Tally tally;
  crowd(writers, {}, [&](int i, Session& caller) {
    for (int turn = 0; turn < 12; ++turn) {
      const std::string hold = "'hold-" + std::to_string(i) + "-" + std::to_string(turn) + "'";
      const Outcome held = caller.attempt("SELECT allowed FROM purser.hold_quota('" + account +
                                          "', 'hot_units', 3, '1 hour', " + hold + ")");
      if (!held.ok()) tally.fail(held);
      const Outcome one = caller.attempt("SELECT allowed, 1 FROM purser.check_and_increment('" +
                                         account + "', 'hot_units')");
      if (!one.ok()) tally.fail(one);
      tally.allowed += counted(one);
      if (!held.ok() || text(held.rows, 0, 0) != "t") continue;
      const Outcome settled = caller.attempt("SELECT true, 1 FROM purser.commit_quota('" + account +
                                             "', " + hold + ", 1)");
      if (!settled.ok()) tally.fail(settled);
      tally.allowed += counted(settled);
    }
    drain(caller, account, tally);
  });
  EXPECT_EQ(tally.failures, Failures());
  EXPECT_EQ(tally.allowed, limit);
  EXPECT_EQ(used(account), limit);
}

// Callers whose clock still shows yesterday meet callers in today.
TEST_F(Hot, CallersOnBothSidesOfMidnightLoseNothing) {
  constexpr long limit = 100;
  publish(limit);
  session.run("SET purser.now = '2026-03-09 12:00Z'");
  const std::string account = new_account("midnight", 16);
  Tally tally;
  crowd(writers, {}, [&](int i, Session& caller) {
    caller.run("SET purser.now = '2026-03-09 23:59:59Z'");
    if (i % 2 == 0)
      for (int turn = 0; turn < 5; ++turn) {
        const Outcome one = caller.attempt("SELECT allowed, 1 FROM purser.check_and_increment('" +
                                           account + "', 'hot_units')");
        if (!one.ok()) tally.fail(one);
        tally.allowed += counted(one);
      }
    caller.run("SET purser.now = '2026-03-10 00:00:00Z'");
    drain(caller, account, tally);
  });
  EXPECT_EQ(tally.failures, Failures());
  EXPECT_EQ(only(session.run("SELECT sum(used) FROM purser.usage_history WHERE account_id = '" +
                             account + "'")),
            std::to_string(tally.allowed));
  session.run("SET purser.now = '2026-03-10 12:00Z'");
  EXPECT_EQ(used(account), limit);
}

// A transaction that rolls back gives back to its stripe what it took.
TEST_F(Hot, CallersThatRollBackLeaveTheirUnits) {
  constexpr long limit = 200;
  publish(limit);
  const std::string account = new_account("rolled-back", 16);
  Tally tally;
  crowd(writers, {}, [&](int, Session& caller) {
    for (int turn = 0; turn < 10; ++turn) {
      caller.run("BEGIN");
      const Outcome one = caller.attempt("SELECT allowed, 1 FROM purser.check_and_increment('" +
                                         account + "', 'hot_units')");
      if (!one.ok()) tally.fail(one);
      caller.run("ROLLBACK");
    }
    drain(caller, account, tally);
  });
  EXPECT_EQ(tally.failures, Failures());
  EXPECT_EQ(tally.allowed, limit);
}

}  // namespace purser::test
