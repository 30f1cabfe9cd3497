// Free units of a rate card under many connections: exactly those are free, whoever is first.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

void publish_card(Session& session) {
  session.run(
      "SELECT purser.publish_rate_card('crowd', '{\"operations\": {\"speech\": {\"unit\": "
      "\"character\", \"rate\": 5, \"per\": 1000, \"free\": 5000, \"period\": \"lifetime\"}}}', "
      "'tester', 'x'), purser.set_setting('rate_card', 'crowd')");
}

std::string charge_statement(const std::string& account, const std::string& id) {
  return "SELECT amount FROM purser.charge_operation('" + account + "', 'speech', 100, '" + id +
         "')";
}

}  // namespace

TEST(Operations, ACrowdGetsExactlyTheFreeUnits) {
  Session session;
  publish_card(session);
  session.run("SELECT purser.grant_credits('crowd-free', 1000, 'purchased', 'g')");
  std::vector<std::string> statements;
  for (int i = 0; i < 60; ++i)
    statements.push_back(charge_statement("crowd-free", "c" + std::to_string(i)));
  for (const Outcome& outcome : all_at_once(statements))
    EXPECT_TRUE(outcome.ok()) << outcome.message;
  // 6,000 characters, of which 5,000 are free: ten charges of half a credit.
  EXPECT_EQ(only(session.run("SELECT purser.credit_balance('crowd-free')")), "995");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.free_operation"
                             " WHERE account_id = 'crowd-free'")),
            "50");
  EXPECT_EQ(only(session.run("SELECT used FROM purser.operation_usage"
                             " WHERE account_id = 'crowd-free'")),
            "6000");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.verify_ledger('crowd-free')")), "0");
}

TEST(Operations, CopiesOfOneFreeRequestCountOnce) {
  Session session;
  publish_card(session);
  for (const Outcome& outcome :
       all_at_once(std::vector<std::string>(50, charge_statement("crowd-copies", "one"))))
    EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(only(session.run("SELECT used FROM purser.operation_usage"
                             " WHERE account_id = 'crowd-copies'")),
            "100");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.free_operation"
                             " WHERE account_id = 'crowd-copies'")),
            "1");
}

TEST(Operations, WorkHeldForGetsExactlyTheFreeUnitsWhenItIsCaptured) {
  Session session;
  publish_card(session);
  session.run("SELECT purser.grant_credits('crowd-held', 1000, 'purchased', 'g')");
  std::vector<std::string> holds, captures;
  for (int i = 0; i < 60; ++i) {
    const std::string hold = "'h" + std::to_string(i) + "'";
    holds.push_back("SELECT purser.hold_operation('crowd-held', 'speech', 100, hold_id => " + hold +
                    ")");
    captures.push_back("SELECT purser.capture_operation('crowd-held', " + hold + ")");
  }
  for (const Outcome& outcome : all_at_once(holds)) EXPECT_TRUE(outcome.ok()) << outcome.message;
  // As if all of it had been used: fifty are free, ten are held for.
  EXPECT_EQ(only(session.run("SELECT purser.credit_balance('crowd-held')")), "995");
  captures.insert(captures.end(), captures.begin(), captures.end());  // each twice
  for (const Outcome& outcome : all_at_once(captures)) EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(only(session.run("SELECT purser.credit_balance('crowd-held')")), "995");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.free_operation"
                             " WHERE account_id = 'crowd-held'")),
            "50");
  EXPECT_EQ(only(session.run("SELECT used FROM purser.operation_usage"
                             " WHERE account_id = 'crowd-held'")),
            "6000");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.reconcile('crowd-held')")), "0");
}

// Holds end in every way while others charge: one end each, no deadlock, and what was counted is
// what was paid for or free.
TEST(Operations, HoldsThatEndAmongChargesAreCountedOnce) {
  Session session;
  publish_card(session);
  session.run("SELECT purser.grant_credits('crowd-mixed', 1000, 'purchased', 'g')");
  session.run("SELECT purser.charge_operation('crowd-mixed', 'speech', 4900, 'before')");
  std::vector<std::string> statements;
  for (int i = 0; i < 30; ++i) {
    const std::string id = std::to_string(i);
    session.run("SELECT purser.hold_operation('crowd-mixed', 'speech', 100, hold_id => 'h" + id +
                "')");
    statements.push_back("SELECT purser.capture_operation('crowd-mixed', 'h" + id + "', 150)");
    statements.push_back("SELECT purser.release_credits('crowd-mixed', 'h" + id + "')");
    statements.push_back(charge_statement("crowd-mixed", "c" + id));
  }
  for (const Outcome& outcome : all_at_once(statements))
    EXPECT_TRUE(outcome.ok() || outcome.sqlstate == "PU006") << outcome.message;
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.credit_hold"
                             " WHERE account_id = 'crowd-mixed' AND state = 'open'")),
            "0");
  // 7,900 characters were charged, and 150 for each hold captured; 5,000 are free.
  EXPECT_EQ(only(session.run(
                "SELECT used = 7900 + 150 * (SELECT count(*) FROM purser.credit_hold AS h"
                "                             WHERE h.account_id = u.account_id"
                "                               AND h.state = 'captured')"
                "   AND purser.credit_balance('crowd-mixed') = 1000 - greatest(0, used - 5000) * "
                "0.005 FROM purser.operation_usage AS u WHERE account_id = 'crowd-mixed'")),
            "t");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM purser.reconcile('crowd-mixed')")), "0");
}

}  // namespace purser::test
