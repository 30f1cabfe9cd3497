// Holds of credits and allowances under many real connections: never more is held than there is, a
// hold ends once and gives the rest back (CRD-5), and a period begins once (CRD-7).
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

class CreditHolds : public testing::Test {
 protected:
  std::string call(const std::string& function, const std::string& account,
                   const std::string& arguments) {
    return "SELECT * FROM purser." + function + "(" + session.quoted(account) + ", " + arguments +
           ")";
  }

  std::string balance(const std::string& account) {
    return only(session.run("SELECT purser.credit_balance(" + session.quoted(account) + ")"));
  }

  void expect_sound_books(const std::string& account) {
    const auto wrong =
        session.run("SELECT * FROM purser.verify_ledger(" + session.quoted(account) +
                    ") UNION ALL SELECT * FROM purser.reconcile(" + session.quoted(account) + ")");
    for (int i = 0; i < static_cast<int>(wrong.size()); ++i)
      ADD_FAILURE() << text(wrong, i, 0) << ": " << text(wrong, i, 2);
  }

  Session session;
};

std::map<std::string, int> states(const std::vector<Outcome>& outcomes) {
  std::map<std::string, int> counts;
  for (const Outcome& outcome : outcomes) ++counts[outcome.sqlstate];
  return counts;
}

std::string id(const char* prefix, int number) {
  return "'" + std::string(prefix) + std::to_string(number) + "'";
}

}  // namespace

TEST_F(CreditHolds, HundredHoldersOfFiftyCreditsHoldExactlyFiftyAndSettleEachOnce) {
  session.run(call("grant_credits", "holders", "50, 'purchased', 'buy'"));
  std::vector<std::string> holds, ends;
  for (int i = 0; i < 100; ++i)
    holds.push_back(call("hold_credits", "holders", "1, 'work', '1 day', " + id("h", i)));
  EXPECT_EQ(states(all_at_once(holds)), (std::map<std::string, int>{{"", 50}, {"PU002", 50}}));
  EXPECT_EQ(balance("holders"), "0");

  // Each is captured by one and released by another, at the same moment.
  const auto made = session.run(
      "SELECT quote_literal(hold_id) FROM purser.credit_holds WHERE account_id = 'holders'");
  for (int i = 0; i < static_cast<int>(made.size()); ++i) {
    ends.push_back(call("capture_credits", "holders", text(made, i, 0)));
    ends.push_back(call("release_credits", "holders", text(made, i, 0)));
  }
  const auto outcomes = all_at_once(ends);
  EXPECT_EQ(states(outcomes), (std::map<std::string, int>{{"", 50}, {"PU006", 50}}));
  int captured = 0;
  for (std::size_t i = 0; i < outcomes.size(); i += 2) captured += outcomes[i].ok();
  EXPECT_EQ(balance("holders"), std::to_string(50 - captured));
  expect_sound_books("holders");
}

TEST_F(CreditHolds, FiftyCopiesOfOneCaptureChargeOnce) {
  session.run(call("grant_credits", "capture-copies", "10, 'purchased', 'buy'"));
  session.run(call("hold_credits", "capture-copies", "8, 'work', '1 day', 'h'"));
  const auto outcomes = all_at_once(
      std::vector<std::string>(50, call("capture_credits", "capture-copies", "'h', 5")));
  int made = 0;
  for (const Outcome& outcome : outcomes) {
    ASSERT_TRUE(outcome.ok()) << outcome.message;
    made += text(outcome.rows, 0, 13) == "f";
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(balance("capture-copies"), "5");
  expect_sound_books("capture-copies");
}

// The hold's time is up for half of the sessions: whoever comes first decides for all.
TEST_F(CreditHolds, ExpiryAndCaptureOfOneHoldComeToOneOutcome) {
  session.run("SET purser.now = '2026-03-01 00:00Z'");
  for (int round = 0; round < 8; ++round) {
    const std::string account = "expiring-" + std::to_string(round);
    session.run(call("grant_credits", account, "10, 'purchased', 'buy'"));
    session.run(call("hold_credits", account, "10, 'work', '1 hour', 'h'"));
    std::vector<Outcome> captures(8), charges(8);
    crowd(16, "", [&](int i, Session& s) {
      const auto at = static_cast<std::size_t>(i / 2);
      s.run(i % 2 == 0 ? "SET purser.now = '2026-03-01 00:30Z'"
                       : "SET purser.now = '2026-03-01 01:00Z'");
      if (i % 2 == 0)
        captures[at] = s.attempt(call("capture_credits", account, "'h', 10, " + id("c", i)));
      else
        charges[at] = s.attempt(call("charge_credits", account, "10, 'work', " + id("x", i)));
    });
    const int captured = states(captures)[""], charged = states(charges)[""];
    EXPECT_EQ(captured + charged, 1) << captured << " captures, " << charged << " charges";
    session.run("SET purser.now = '2026-03-01 02:00Z'");
    EXPECT_EQ(balance(account), "0");
    expect_sound_books(account);
    session.run("SET purser.now = '2026-03-01 00:00Z'");
  }
}

// Holders, capturers and chargers of few wallets; nothing is lost or made.
TEST_F(CreditHolds, RandomHoldsCapturesAndReleasesLeaveExactBooks) {
  constexpr int sessions = 12, steps = 60, wallets = 3;
  const unsigned first_seed = seed();
  for (int w = 0; w < wallets; ++w)
    for (const char* kind : {"monthly", "promotional", "purchased"})
      session.run(call("grant_credits", "random-" + std::to_string(w),
                       "40, '" + std::string(kind) + "', '" + kind + "'"));
  crowd(sessions, "", [&](int me, Session& s) {
    std::mt19937 random(first_seed + static_cast<unsigned>(me));
    for (int step = 0; step < steps; ++step) {
      const std::string account = "random-" + std::to_string(random() % wallets);
      const std::string hold = "'h" + std::to_string(random() % 40) + "'";
      const std::string amount = std::to_string(1 + random() % 5);
      const std::string key = "'k" + std::to_string(me) + "-" + std::to_string(step) + "'";
      const std::string calls[] = {
          call("hold_credits", account, amount + ", 'work', '1 day', " + hold),
          call("capture_credits", account, hold + ", " + amount + ", " + key + ", false"),
          call("capture_credits", account, hold + ", " + amount + ", " + key),
          call("release_credits", account, hold),
          call("charge_credits", account, amount + ", 'work', " + key)};
      const Outcome outcome = s.attempt(calls[random() % 5]);
      const std::string& state = outcome.sqlstate;
      if (!outcome.ok() && state != "PU002" && state != "PU005" && state != "PU006")
        ADD_FAILURE() << state << " " << outcome.message;
    }
  });
  for (int w = 0; w < wallets; ++w) {
    const std::string account = "random-" + std::to_string(w);
    EXPECT_EQ(only(session.run("SELECT 120 - sum(amount) FILTER (WHERE direction = 'DEBIT')"
                               " - (SELECT coalesce(sum(remaining), 0) FROM purser.credit_holds"
                               "     WHERE account_id = l.account_id)"
                               " - purser.credit_balance(l.account_id)"
                               " FROM purser.ledger AS l WHERE account_id = '" +
                               account + "' GROUP BY account_id")),
              "0")
        << account;
    expect_sound_books(account);
  }
}

TEST_F(CreditHolds, APeriodThatHundredChargesMeetBeginsOnce) {
  session.run("SET purser.now = '2026-03-01 00:00Z'");
  session.run(
      "SELECT purser.publish_plan('allowing', '{\"name\": \"Allowing\", \"credits\": {\"credits\":"
      " {\"allowance\": 60, \"rollover\": {\"percent\": 50}}}}', 'tester', 'test')");
  session.run("SELECT purser.subscribe('boundary', 'allowing', 'tester')");
  std::vector<std::string> charges;
  for (int i = 0; i < 100; ++i)
    charges.push_back(call("charge_credits", "boundary", "1, 'work', " + id("c", i)));
  EXPECT_EQ(states(all_at_once(charges, "SET purser.now = '2026-04-01 00:00Z'")),
            (std::map<std::string, int>{{"", 90}, {"PU002", 10}}));
  EXPECT_EQ(
      only(session.run("SELECT string_agg(reason || ' ' || amount, ', ' ORDER BY entry_no) FROM"
                       " purser.ledger WHERE account_id = 'boundary' AND reason <> 'work'")),
      "allowance 60, rolled_over 30, expired 30, rollover 30, allowance 60");
  expect_sound_books("boundary");
}

TEST_F(CreditHolds, AnAccountThatHundredChargesOpenGetsOneAllowance) {
  publish_test_plan(session);
  session.run(
      "SELECT purser.publish_plan('free_credits', '{\"name\": \"Free\", \"credits\": {\"welcome\":"
      " {\"allowance\": 40}}}', 'tester', 'test')");
  session.run("SELECT purser.set_setting('default_plan', 'free_credits', 'tester')");
  std::vector<std::string> charges;
  for (int i = 0; i < 100; ++i)
    charges.push_back(
        call("charge_credits", "newcomer", "1, 'work', " + id("c", i) + ", wallet => 'welcome'"));
  const auto outcomes = all_at_once(charges);
  session.run("SELECT purser.set_setting('default_plan', 'free', 'tester')");
  EXPECT_EQ(states(outcomes), (std::map<std::string, int>{{"", 40}, {"PU002", 60}}));
  expect_sound_books("newcomer");
}

}  // namespace purser::test
