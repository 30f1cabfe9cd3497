// Credits under many real connections: one entry per correlation id (CRD-3), no credit spent twice
// (CRD-2, CRD-4), never more refunded than was charged (CRD-6).
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

class Credits : public testing::Test {
 protected:
  std::string grant(const std::string& account, const std::string& amount, const std::string& id) {
    return "SELECT * FROM purser.grant_credits(" + session.quoted(account) + ", " + amount +
           ", 'purchased', " + session.quoted(id) + ")";
  }

  std::string charge(const std::string& account, const std::string& amount, const std::string& id) {
    return "SELECT * FROM purser.charge_credits(" + session.quoted(account) + ", " + amount +
           ", 'work', " + session.quoted(id) + ")";
  }

  std::string refund(const std::string& account, const std::string& entry,
                     const std::string& amount, const std::string& id) {
    return "SELECT * FROM purser.refund_credits(" + session.quoted(account) + ", " +
           session.quoted(entry) + ", " + amount + ", 'failed', " + session.quoted(id) + ")";
  }

  std::string balance(const std::string& account) {
    return only(session.run("SELECT purser.credit_balance(" + session.quoted(account) + ")"));
  }

  std::string entries(const std::string& account) {
    return only(session.run("SELECT count(*) FROM purser.ledger WHERE account_id = " +
                            session.quoted(account)));
  }

  void expect_sound_books(const std::string& account) {
    const auto wrong =
        session.run("SELECT * FROM purser.verify_ledger(" + session.quoted(account) + ")");
    for (int i = 0; i < static_cast<int>(wrong.size()); ++i)
      ADD_FAILURE() << text(wrong, i, 0) << ": " << text(wrong, i, 2);
  }

  Session session;
};

constexpr int replayed_column = 13;

std::map<std::string, int> states(const std::vector<Outcome>& outcomes) {
  std::map<std::string, int> counts;
  for (const Outcome& outcome : outcomes) ++counts[outcome.sqlstate];
  return counts;
}

// All but whether it was replayed.
std::string entry_of(const Outcome& outcome) {
  std::string row;
  for (int column = 0; column < replayed_column; ++column)
    row += text(outcome.rows, 0, column) + "|";
  return row;
}

// Every copy got the same entry, and exactly one of them made it.
void expect_one_entry_for_all(const std::vector<Outcome>& outcomes) {
  int made = 0;
  for (const Outcome& outcome : outcomes) {
    ASSERT_TRUE(outcome.ok()) << outcome.message;
    EXPECT_EQ(entry_of(outcome), entry_of(outcomes[0]));
    made += text(outcome.rows, 0, replayed_column) == "f";
  }
  EXPECT_EQ(made, 1) << "exactly one copy is not a replay";
}

}  // namespace

TEST_F(Credits, FiftyCopiesOfOneChargeMakeOneEntryAndFiftyEqualAnswers) {
  session.run(grant("copies", "100", "buy"));
  expect_one_entry_for_all(
      all_at_once(std::vector<std::string>(50, charge("copies", "2.5", "job-1"))));
  EXPECT_EQ(entries("copies"), "2");
  EXPECT_EQ(balance("copies"), "97.5");
  expect_sound_books("copies");
}

// The first copy left too little for another: the others are replays, not refusals.
TEST_F(Credits, CopiesOfTheChargeThatTookTheLastCreditsAreReplays) {
  session.run(grant("last-credits", "3", "buy"));
  expect_one_entry_for_all(
      all_at_once(std::vector<std::string>(50, charge("last-credits", "3", "job-1"))));
  EXPECT_EQ(balance("last-credits"), "0");
}

TEST_F(Credits, FiftyCopiesOfAFirstGrantMakeOneWalletAndOneGrant) {
  expect_one_entry_for_all(
      all_at_once(std::vector<std::string>(50, grant("new-wallet", "10", "buy"))));
  EXPECT_EQ(balance("new-wallet"), "10");
  expect_sound_books("new-wallet");
}

TEST_F(Credits, OneIdForTwoRequestsChargesOneAndRefusesTheOther) {
  session.run(grant("two-requests", "100", "buy"));
  std::vector<std::string> statements;
  for (int i = 0; i < 50; ++i)
    statements.push_back(charge("two-requests", i % 2 == 0 ? "1" : "2", "job-1"));
  const auto outcomes = all_at_once(statements);
  EXPECT_EQ(states(outcomes), (std::map<std::string, int>{{"", 25}, {"PU005", 25}}));
  EXPECT_EQ(entries("two-requests"), "2");
  expect_sound_books("two-requests");
}

// The ids of one account are one space, whichever wallet they name.
TEST_F(Credits, OneIdInTwoWalletsChargesOneAndRefusesTheOther) {
  session.run(grant("two-wallets", "100", "buy"));
  session.run(
      "SELECT purser.grant_credits('two-wallets', 100, 'purchased', 'buy-tokens',"
      " wallet => 'tokens')");
  std::vector<std::string> statements;
  for (int i = 0; i < 40; ++i)
    statements.push_back(
        "SELECT * FROM purser.charge_credits('two-wallets', 1, 'work', 'job-1', wallet => '" +
        std::string(i % 2 == 0 ? "credits" : "tokens") + "')");
  EXPECT_EQ(states(all_at_once(statements)), (std::map<std::string, int>{{"", 20}, {"PU005", 20}}));
  EXPECT_EQ(entries("two-wallets"), "3");
  expect_sound_books("two-wallets");
}

TEST_F(Credits, HundredChargesOfFiftyCreditsSpendExactlyFifty) {
  session.run(grant("spenders", "50", "buy"));
  std::vector<std::string> statements;
  for (int i = 0; i < 100; ++i)
    statements.push_back(charge("spenders", "1", "job-" + std::to_string(i)));
  EXPECT_EQ(states(all_at_once(statements)), (std::map<std::string, int>{{"", 50}, {"PU002", 50}}));
  EXPECT_EQ(balance("spenders"), "0");
  expect_sound_books("spenders");
}

TEST_F(Credits, FiftyPartialRefundsGiveBackExactlyWhatFits) {
  session.run(grant("parts", "100", "buy"));
  const std::string entry = only(session.run(charge("parts", "100", "job-1")));
  std::vector<std::string> statements;
  for (int i = 0; i < 50; ++i)
    statements.push_back(refund("parts", entry, "7", "refund-" + std::to_string(i)));
  EXPECT_EQ(states(all_at_once(statements)), (std::map<std::string, int>{{"", 14}, {"PU007", 36}}));
  EXPECT_EQ(balance("parts"), "98");
  expect_sound_books("parts");
}

TEST_F(Credits, FiftyRefundsOfAllThatIsLeftGiveItBackOnce) {
  session.run(grant("all-left", "100", "buy"));
  const std::string entry = only(session.run(charge("all-left", "60", "job-1")));
  session.run(refund("all-left", entry, "12.000001", "first"));
  std::vector<std::string> statements;
  for (int i = 0; i < 50; ++i)
    statements.push_back(refund("all-left", entry, "NULL", "refund-" + std::to_string(i)));
  EXPECT_EQ(states(all_at_once(statements)), (std::map<std::string, int>{{"", 1}, {"PU007", 49}}));
  EXPECT_EQ(balance("all-left"), "100");
  expect_sound_books("all-left");
}

TEST_F(Credits, FiftyCopiesOfOneRefundMakeOneEntry) {
  session.run(grant("refund-copies", "10", "buy"));
  const std::string entry = only(session.run(charge("refund-copies", "10", "job-1")));
  expect_one_entry_for_all(
      all_at_once(std::vector<std::string>(50, refund("refund-copies", entry, "4", "refund-1"))));
  EXPECT_EQ(balance("refund-copies"), "4");
  expect_sound_books("refund-copies");
}

// Every one of many callers may find that a grant has lapsed; it is written off once.
TEST_F(Credits, ExpiryMetByFiftyChargesIsWrittenOffOnce) {
  session.run("SET purser.now = '2026-03-01 00:00Z'");
  session.run(
      "SELECT purser.grant_credits('lapse', 30, 'monthly', 'march', expires_at => "
      "'2026-04-01 00:00Z')");
  session.run(grant("lapse", "20", "buy"));
  std::vector<std::string> statements;
  for (int i = 0; i < 50; ++i)
    statements.push_back(charge("lapse", "1", "job-" + std::to_string(i)));
  EXPECT_EQ(states(all_at_once(statements, "SET purser.now = '2026-04-01 00:00Z'")),
            (std::map<std::string, int>{{"", 20}, {"PU002", 30}}));
  EXPECT_EQ(only(session.run("SELECT count(*) || ' of ' || sum(amount) FROM purser.ledger"
                             " WHERE account_id = 'lapse' AND reason = 'expired'")),
            "1 of 30");
  expect_sound_books("lapse");
}

}  // namespace purser::test
