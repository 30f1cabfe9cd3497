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

}  // namespace purser::test
