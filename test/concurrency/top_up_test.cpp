// Many sessions charge a wallet across its thresholds: one event and one request, however slow the
// payment is (CRD-10).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

std::string count_of(Session& session, const std::string& account, const std::string& kind) {
  return only(session.run("SELECT count(*) FROM purser.event WHERE account_id = '" + account +
                          "' AND kind = 'credits." + kind + "'"));
}

std::vector<std::string> charges(const std::string& account, int number) {
  std::vector<std::string> statements;
  for (int i = 0; i < number; ++i)
    statements.push_back("SELECT purser.charge_credits('" + account + "', 1, 'work', 'c" +
                         std::to_string(i) + "')");
  return statements;
}

}  // namespace

TEST(TopUps, FiftyChargesAcrossTheThresholdTellAndAskOnce) {
  Session session;
  session.run("SELECT purser.grant_credits('top-up', 125, 'purchased', 'g')");
  session.run("SELECT purser.set_top_up('top-up', 110, 200, 5, '0')");
  for (const Outcome& outcome : all_at_once(charges("top-up", 50)))
    EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(count_of(session, "top-up", "low"), "1");
  EXPECT_EQ(count_of(session, "top-up", "top_up_requested"), "1");

  // The payment is confirmed by many at once.
  const std::string request =
      only(session.run("SELECT request_id FROM purser.top_up_request WHERE account_id = 'top-up'"));
  for (const Outcome& outcome : all_at_once(std::vector<std::string>(
           30, "SELECT purser.complete_top_up('top-up', '" + request + "', 'pi')")))
    EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(only(session.run("SELECT purser.credit_balance('top-up')")), "275");
}

// The same in a wallet of many grants, of which a charge reads the first alone.
TEST(TopUps, AWalletOfManyGrantsTellsOnceToo) {
  Session session;
  session.run(
      "SELECT purser.grant_credits('top-up-many', 5, 'purchased', 'g' || n)"
      " FROM generate_series(1, 30) AS n");
  for (const Outcome& outcome : all_at_once(charges("top-up-many", 60)))
    EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(count_of(session, "top-up-many", "low"), "1");
}

}  // namespace purser::test
