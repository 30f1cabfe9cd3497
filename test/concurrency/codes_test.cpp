// Codes among many connections: exactly as many redemptions as a code has, no account twice, and no
// deadlock with charging (PLAN-12).
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {
namespace {

void create_code(const std::string& code, const std::string& definition, const std::string& rest) {
  Session().run("SELECT purser.create_code('" + code + "', 'promotional_credits', '" + definition +
                "', " + rest + ", actor => 'test')");
}

std::string redeem(const std::string& account, const std::string& code) {
  return "SELECT reason FROM purser.redeem_code('" + account + "', '" + code + "')";
}

std::map<std::string, int> reasons(const std::vector<Outcome>& outcomes) {
  std::map<std::string, int> counted;
  for (const Outcome& outcome : outcomes)
    ++counted[outcome.ok() ? text(outcome.rows, 0, 0) : outcome.sqlstate];
  return counted;
}

std::string asked(const std::string& sql) {
  return only(Session().run(sql));
}

TEST(Codes, AHundredRedemptionsOfATenUseCodeGiveExactlyTen) {
  create_code("ten", R"({"amount": 5})", "10");
  std::vector<std::string> statements;
  for (int i = 0; i < 100; ++i) statements.push_back(redeem("ten-" + std::to_string(i), "ten"));
  EXPECT_EQ(reasons(all_at_once(statements)),
            (std::map<std::string, int>{{"ok", 10}, {"code_used_up", 90}}));
  EXPECT_EQ(asked("SELECT redeemed FROM purser.code WHERE code = 'ten'"), "10");
  EXPECT_EQ(asked("SELECT count(*) FROM purser.code_redemption WHERE code = 'ten'"), "10");
  EXPECT_EQ(asked("SELECT count(*) FROM purser.ledger WHERE account_id LIKE 'ten-%'"), "10");
}

TEST(Codes, OneAccountRedeemsOnceHoweverOftenItAsksAtOnce) {
  create_code("once", R"({"amount": 5, "referrer": {"account_id": "once-friend", "amount": 1}})",
              "NULL");
  EXPECT_EQ(reasons(all_at_once(std::vector<std::string>(20, redeem("once-a", "once")))),
            (std::map<std::string, int>{{"ok", 1}, {"already_redeemed", 19}}));
  EXPECT_EQ(asked("SELECT purser.credit_balance('once-a')"), "5");
  EXPECT_EQ(asked("SELECT purser.credit_balance('once-friend')"), "1");
}

// Two transactions of one account, each of which charges before or after it redeems, would wait
// for each other in a circle if redeeming locked the code before the wallet.
TEST(Codes, RedeemingAndChargingInOneTransactionCannotDeadlock) {
  for (int i = 0; i < 40; ++i)
    create_code("mixed-" + std::to_string(i), R"({"amount": 1})", "NULL");
  {
    Session session;
    for (int a = 0; a < 4; ++a)
      session.run("SELECT purser.grant_credits('mixed-" + std::to_string(a) +
                  "', 1000, 'purchased', 'start')");
  }
  std::vector<std::string> failures(12);
  crowd(12, "", [&](int self, Session& session) {
    const std::string account = "mixed-" + std::to_string(self % 4);
    const bool charges_first = self / 4 == 0;  // one of the three sessions of each account
    for (int i = 0; i < 40; ++i) {
      const std::string charge = "SELECT purser.charge_credits('" + account + "', 1, 'work', 'c" +
                                 std::to_string(self) + "-" + std::to_string(i) + "')";
      const std::string code = redeem(account, "mixed-" + std::to_string(i));
      session.run("BEGIN");
      for (const std::string& sql : {charges_first ? charge : code, charges_first ? code : charge})
        if (const Outcome outcome = session.attempt(sql); !outcome.ok())
          failures[static_cast<std::size_t>(self)] += outcome.sqlstate + " " + outcome.message;
      session.attempt("COMMIT");
    }
  });
  for (const std::string& failure : failures) EXPECT_EQ(failure, "");
  EXPECT_EQ(asked("SELECT sum(redeemed) FROM purser.code WHERE code LIKE 'mixed-%'"), "160");
  // 4 accounts × 1000, 40 redemptions of 1 each, 3 sessions × 40 charges of 1 each.
  EXPECT_EQ(asked("SELECT sum(purser.credit_balance('mixed-' || n)) FROM generate_series(0, 3) n"),
            "3680");
}

TEST(Experiments, ManyFirstQuestionsAtOnceAssignOneVariant) {
  Session().run("SELECT purser.declare_experiment('race', '{\"a\": 1, \"b\": 1}', 'test')");
  const auto answers = reasons(all_at_once(
      std::vector<std::string>(20, "SELECT purser.experiment_variant('race-1', 'race')")));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers.begin()->second, 20);
  EXPECT_EQ(asked("SELECT count(*) FROM purser.experiment_assignment WHERE account_id = 'race-1'"),
            "1");
}

}  // namespace
}  // namespace purser::test
