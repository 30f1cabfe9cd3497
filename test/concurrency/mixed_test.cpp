// Transactions that count several features and charge a wallet, in the documented order
// (entitlements by account and feature, then wallets): no deadlock, at READ COMMITTED no failure at
// all, and under REPEATABLE READ and SERIALIZABLE ordinary serialization failures, never a wrong
// count.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int workers = 8;
constexpr int requests = 40;  // of one worker
constexpr int accounts = 3;

struct Level {
  const char* sql;
  const char* prefix;  // of its accounts
};

std::vector<std::string> request_of(const std::string& account, const std::string& id) {
  return {"SELECT allowed FROM purser.check_and_increment('" + account + "', 'chat')",
          "SELECT allowed FROM purser.check_and_increment('" + account + "', 'exports')",
          "SELECT allowed FROM purser.check_and_increment('" + account + "', 'minutes', 2)",
          "SELECT true FROM purser.charge_credits('" + account + "', 0.5, 'work', '" + id + "')"};
}

// The SQLSTATE that ended the transaction, or nothing when it committed; `counted` says which of
// the features took it.
std::string transact(Session& session, const char* level, const std::vector<std::string>& calls,
                     std::vector<bool>& counted) {
  counted.clear();
  session.run(std::string("BEGIN ISOLATION LEVEL ") + level);
  for (const std::string& call : calls) {
    const Outcome outcome = session.attempt(call);
    if (!outcome.ok()) {
      session.run("ROLLBACK");
      return outcome.sqlstate;
    }
    counted.push_back(only(outcome.rows) == "t");
  }
  const Outcome committed = session.attempt("COMMIT");
  if (!committed.ok()) session.attempt("ROLLBACK");
  return committed.sqlstate;
}

// What the answers add up to.
class Totals {
 public:
  void add(const std::string& account, const std::vector<bool>& counted) {
    const std::lock_guard lock(mutex_);
    static constexpr int units[] = {1, 1, 2, 1};
    for (std::size_t i = 0; i < counted.size(); ++i)
      if (counted[i]) totals_[account][i] += units[i];
  }

  void failed(const std::string& sqlstate) {
    const std::lock_guard lock(mutex_);
    ++failures_[sqlstate];
  }

  const std::map<std::string, int>& failures() const { return failures_; }

  void expect_stored(Session& session) {
    for (const auto& [account, totals] : totals_) {
      const auto used = session.run(
          "SELECT feature, used FROM purser.entitlement"
          " WHERE account_id = '" +
          account + "' ORDER BY feature");
      ASSERT_EQ(used.size(), 3u);
      for (int i = 0; i < 3; ++i)
        EXPECT_EQ(std::stoi(text(used, i, 1)), totals[static_cast<std::size_t>(i)])
            << account << " " << text(used, i, 0);
      EXPECT_LE(totals[0], 50) << "the limit of chat";
      EXPECT_EQ(std::stoi(only(session.run("SELECT count(*) FROM purser.ledger WHERE direction ="
                                           " 'DEBIT' AND account_id = '" +
                                           account + "'"))),
                totals[3]);
    }
    EXPECT_EQ(session.run("SELECT * FROM purser.verify_ledger()").size(), 0u);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::array<int, 4>> totals_;
  std::map<std::string, int> failures_;
};

class Mixed : public testing::TestWithParam<Level> {
 protected:
  void SetUp() override {
    publish_test_plan(session);
    for (int i = 0; i < accounts; ++i)
      session.run("SELECT purser.grant_credits('" + account(i) + "', 1000, 'purchased', 'buy')");
  }

  std::string account(int i) const { return GetParam().prefix + std::to_string(i); }

  Session session;
};

}  // namespace

TEST_P(Mixed, TransactionsInTheDocumentedOrderNeverDeadlockNorMiscount) {
  Totals totals;
  crowd(workers, {}, [&](int worker, Session& caller) {
    for (int i = 0; i < requests; ++i) {
      const std::string mine = account((worker + i) % accounts);
      const std::string id = std::to_string(worker) + "/" + std::to_string(i);
      std::vector<bool> counted;
      std::string state;
      while (!(state = transact(caller, GetParam().sql, request_of(mine, id), counted)).empty()) {
        totals.failed(state);
        ASSERT_EQ(state, "40001") << "only serialization failures may be retried";
      }
      totals.add(mine, counted);
    }
  });
  if (std::string(GetParam().sql) == "READ COMMITTED") {
    EXPECT_EQ(totals.failures(), (std::map<std::string, int>{})) << "nothing fails by default";
  }
  totals.expect_stored(session);
}

INSTANTIATE_TEST_SUITE_P(Isolation, Mixed,
                         testing::Values(Level{"READ COMMITTED", "read-committed-"},
                                         Level{"REPEATABLE READ", "repeatable-read-"},
                                         Level{"SERIALIZABLE", "serializable-"}),
                         [](const auto& level) {
                           std::string name = level.param.sql;
                           name.erase(
                               name.find(' ') == std::string::npos ? name.size() : name.find(' '),
                               1);
                           return name;
                         });

// Several accounts in one transaction, in key order, against others that want them too.
TEST(MixedAccounts, TransactionsOverSeveralAccountsInKeyOrderNeverDeadlock) {
  Session session;
  publish_test_plan(session);
  for (const char* account : {"pair-a", "pair-b", "pair-c"})
    session.run("SELECT purser.grant_credits('" + std::string(account) +
                "', 1000, 'purchased', 'buy')");
  crowd(workers, {}, [&](int worker, Session& caller) {
    for (int i = 0; i < requests; ++i) {
      const std::string id = "'" + std::to_string(worker) + "/" + std::to_string(i) + "'";
      caller.run("BEGIN");
      for (const std::string account : {"pair-a", "pair-b", "pair-c"})
        if ((worker + i) % 3 != account.back() - 'a')
          caller.run("SELECT purser.check_and_increment('" + account + "', 'minutes')");
      for (const std::string account : {"pair-a", "pair-b", "pair-c"})
        if ((worker + i) % 3 != account.back() - 'a')
          caller.run("SELECT purser.charge_credits('" + account + "', 1, 'work', " + id + ")");
      caller.run("COMMIT");
    }
  });
  EXPECT_EQ(only(session.run("SELECT sum(used) FROM purser.entitlement"
                             " WHERE account_id LIKE 'pair-%'")),
            std::to_string(workers * requests * 2));
  EXPECT_EQ(only(session.run("SELECT sum(purser.credit_balance(account_id)) FROM purser.account"
                             " WHERE account_id LIKE 'pair-%'")),
            std::to_string(3000 - workers * requests * 2));
}

}  // namespace purser::test
