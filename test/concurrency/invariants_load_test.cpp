// The invariants of the books under load: many connections, and checks while they write.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int customers = 4;

std::string account_of(int customer) {
  return "live-" + std::to_string(customer);
}

// Charges and refunds of one customer for a while; returns how many there were.
int trade(int customer, Session& session, const std::string& run, std::chrono::milliseconds span) {
  const auto end = std::chrono::steady_clock::now() + span;
  int requests = 0;
  while (std::chrono::steady_clock::now() < end) {
    const std::string id = run + "-" + std::to_string(requests++);
    const std::string account = "'" + account_of(customer) + "'";
    const std::string entry = only(session.run("SELECT entry_id FROM purser.charge_credits(" +
                                               account + ", 1, 'work', '" + id + "')"));
    if (requests % 3 == 0)
      session.run("SELECT purser.refund_credits(" + account + ", '" + entry +
                  "', 0.5, 'failed', 'back-" + id + "')");
  }
  return requests;
}

int trade_all(const std::string& run) {
  std::atomic<int> requests{0};
  crowd(customers, {}, [&](int customer, Session& session) {
    requests += trade(customer, session, run, std::chrono::milliseconds(1500));
  });
  return requests;
}

}  // namespace

TEST(ReconcileUnderLoad, BlocksNobodyAndFindsNothing) {
  Session session;
  for (int i = 0; i < customers; ++i)
    session.run("SELECT purser.grant_credits('" + account_of(i) +
                "', 1000000, 'purchased', 'buy')");
  const int alone = trade_all("alone");

  // One transaction that stays open holds locks that conflict with no writer.
  Session auditor;
  auditor.run("BEGIN");
  auditor.run("SELECT * FROM purser.reconcile()");
  EXPECT_EQ(only(session.run("SELECT count(*) FROM pg_locks WHERE pid = " +
                             std::to_string(auditor.backend_pid()) +
                             " AND locktype IN ('relation', 'tuple', 'advisory')"
                             " AND mode <> 'AccessShareLock'")),
            "0");

  std::atomic<int> reads{0};
  Companion reconciling([&](const std::atomic<bool>& stop) {
    Session reader;
    for (; !stop; ++reads) {
      const auto rows = reader.run("SELECT path, rule, message FROM purser.reconcile()");
      for (int i = 0; i < static_cast<int>(rows.size()); ++i)
        ADD_FAILURE() << text(rows, i, 0) << " " << text(rows, i, 1) << ": " << text(rows, i, 2);
    }
  });
  const int beside = trade_all("beside");
  reconciling.finish(true);
  auditor.run("COMMIT");
  std::cout << alone << " requests alone, " << beside << " beside " << reads
            << " reconciliations\n";
  EXPECT_GT(reads, 0);
  // They share processors, not locks: a blocked customer would do none.
  EXPECT_GT(beside, alone / 10);
}

// ---- the invariants that need many connections at the same moment
// --------------------------------

class InvariantsUnderLoad : public testing::Test {
 protected:
  static constexpr int sessions = 12;

  std::string call(const std::string& function, const std::string& account,
                   const std::string& arguments) {
    return "SELECT entry_id, amount, balance_after, allocations, replayed FROM purser." + function +
           "('" + account + "', " + arguments + ")";
  }

  void grant(const std::string& account, const std::string& amount, const std::string& kind) {
    session.run(call("grant_credits", account, amount + ", '" + kind + "', '" + kind + "'"));
  }

  std::string ask(const std::string& sql) { return only(session.run("SELECT " + sql)); }

  void expect_sound_books(const std::string& accounts) {
    const auto rows = session.run(
        "SELECT path, rule, message FROM purser.reconcile() WHERE path LIKE '" + accounts +
        "' UNION ALL SELECT path, rule, message FROM purser.verify_ledger() WHERE path LIKE '" +
        accounts + "'");
    for (int i = 0; i < static_cast<int>(rows.size()); ++i)
      ADD_FAILURE() << text(rows, i, 0) << " " << text(rows, i, 1) << ": " << text(rows, i, 2);
  }

  // All succeed, one of them made the entry, and all answer the same.
  void expect_one_entry(const std::string& statement) {
    std::set<std::string> answers;
    int made = 0;
    for (const Outcome& outcome : all_at_once(std::vector<std::string>(sessions, statement))) {
      ASSERT_TRUE(outcome.ok()) << outcome.sqlstate << " " << outcome.message;
      answers.insert(text(outcome.rows, 0, 0) + " " + text(outcome.rows, 0, 1) + " " +
                     text(outcome.rows, 0, 2) + " " + text(outcome.rows, 0, 3));
      made += text(outcome.rows, 0, 4) == "f";
    }
    EXPECT_EQ(answers.size(), 1U) << statement;
    EXPECT_EQ(made, 1) << statement;
  }

  Session session;
};

TEST_F(InvariantsUnderLoad, ConcurrentSameKeyCallsMakeOneEntry) {
  expect_one_entry(call("grant_credits", "same-key", "100, 'purchased', 'buy'"));
  expect_one_entry(call("charge_credits", "same-key", "10, 'work', 'c'"));
  expect_one_entry(call("refund_credits", "same-key", "'credits/2', 4, 'failed', 'r'"));
  session.run("SELECT purser.hold_credits('same-key', 20, 'work', '1 day', 'h')");
  expect_one_entry(call("capture_credits", "same-key", "'h', 15, 'k'"));
  EXPECT_EQ(ask("count(*) FROM purser.ledger WHERE account_id = 'same-key'"), "4");
  EXPECT_EQ(ask("purser.credit_balance('same-key')"), "79");
  expect_sound_books("same-key%");
}

// Read in the order of its entries, the ledger goes through the grants in debit order and never
// back: no charge took from a later grant while an earlier one had something left.
TEST_F(InvariantsUnderLoad, DebitOrderHoldsUnderConcurrency) {
  for (const char* kind :
       {"purchased", "adjustment", "refund", "promotional", "rollover", "monthly"})
    grant("order", "40", kind);
  crowd(sessions, {}, [&](int self, Session& s) {
    for (int i = 0; i < 20; ++i)
      s.run(call("charge_credits", "order",
                 "0.9, 'work', 'c-" + std::to_string(self) + "-" + std::to_string(i) + "'"));
  });
  const auto rows = session.run(
      "SELECT (a ->> 'grant_id')::int, ((a ->> 'amount')::numeric * 10)::int FROM purser.ledger,"
      "       jsonb_array_elements(allocations) WITH ORDINALITY AS e (a, o)"
      " WHERE account_id = 'order' AND direction = 'DEBIT' ORDER BY entry_no, o");
  int grant = 6, left = 400;  // the monthly one was granted last and goes first
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    if (left == 0) {
      --grant;
      left = 400;
    }
    ASSERT_EQ(text(rows, i, 0), std::to_string(grant)) << "part " << i;
    left -= std::stoi(text(rows, i, 1));
    ASSERT_GE(left, 0);
  }
  EXPECT_EQ(ask("purser.credit_balance('order')"), "24");
  expect_sound_books("order%");
}

TEST_F(InvariantsUnderLoad, ConcurrentRefundsNeverExceedTheCharge) {
  grant("refunds", "50", "monthly");
  grant("refunds", "50", "purchased");
  session.run(call("charge_credits", "refunds", "60, 'work', 'c'"));
  session.run("SELECT purser.hold_credits('refunds', 40, 'work', '1 day', 'h')");
  session.run(call("capture_credits", "refunds", "'h', 20, 'k'"));
  std::atomic<int> given{0};
  crowd(sessions, {}, [&](int self, Session& s) {
    for (int i = 0; i < 10; ++i) {
      const std::string entry = i % 2 == 0 ? "'credits/3'" : "'credits/4'";
      const Outcome outcome = s.attempt(call(
          "refund_credits", "refunds",
          entry + ", 1.5, 'failed', 'r-" + std::to_string(self) + "-" + std::to_string(i) + "'"));
      EXPECT_TRUE(outcome.ok() || outcome.sqlstate == "PU007") << outcome.message;
      given += outcome.ok();
    }
  });
  EXPECT_EQ(given, 40 + 13);  // 60 / 1.5 and 20 / 1.5, rounded down
  EXPECT_EQ(ask("bool_and(remaining <= amount) FROM purser.grants WHERE account_id = 'refunds'"),
            "t");
  expect_sound_books("refunds%");
}

// Captured, released and captured again at the same moment: one of them ends the hold.
TEST_F(InvariantsUnderLoad, AHoldResolvesOnceInARace) {
  grant("race", "100", "purchased");
  for (int round = 0; round < 10; ++round) {
    const std::string hold = "'h" + std::to_string(round) + "'";
    session.run("SELECT purser.hold_credits('race', 7, 'work', '1 day', " + hold + ")");
    const std::string before =
        ask("sum(captured) FROM purser.credit_hold WHERE account_id = 'race'");
    std::vector<std::string> statements;
    for (int i = 0; i < sessions; ++i)
      statements.push_back(
          i % 3 == 0
              ? "SELECT state FROM purser.release_credits('race', " + hold + ")"
              : call("capture_credits", "race",
                     hold + ", 3, 'k-" + std::to_string(round) + "-" + std::to_string(i) + "'"));
    int captured = 0;
    std::set<std::string> ended;
    const auto outcomes = all_at_once(statements);
    for (int i = 0; i < sessions; ++i) {
      const Outcome& outcome = outcomes[static_cast<std::size_t>(i)];
      EXPECT_TRUE(outcome.ok() || outcome.sqlstate == "PU006") << outcome.message;
      if (outcome.ok()) ended.insert(i % 3 == 0 ? "released" : "captured");
      captured += outcome.ok() && i % 3 != 0;
    }
    EXPECT_EQ(ended.size(), 1U);
    EXPECT_LE(captured, 1);
    EXPECT_EQ(ask("state FROM purser.credit_hold WHERE account_id = 'race' AND hold_id = " + hold),
              *ended.begin());
    EXPECT_EQ(
        ask("sum(captured) - " + before + " FROM purser.credit_hold WHERE account_id = 'race'"),
        captured == 1 ? "3" : "0");
  }
  expect_sound_books("race%");
}

// As Jepsen's bank: while many write, every read balances and shows nothing below zero.
TEST_F(InvariantsUnderLoad, NothingIsNegativeAtAnyRead) {
  constexpr int accounts = 3, steps = 60;
  for (int i = 0; i < accounts; ++i)
    for (const char* kind : {"monthly", "promotional", "purchased"})
      grant("reads-" + std::to_string(i), "15", kind);
  std::atomic<int> reads{0};
  Companion reader([&](const std::atomic<bool>& stop) {
    Session s;
    for (; !stop; ++reads) {
      const auto rows = s.run(
          "SELECT w.account_id, w.balance_micros, l.lots, e.entries, h.held, l.held, l.least, "
          "e.least"
          "  FROM purser.wallet AS w,"
          "  LATERAL (SELECT coalesce(sum(remaining_micros + held_micros), 0) AS lots,"
          "                  coalesce(sum(held_micros), 0) AS held,"
          "                  coalesce(min(LEAST(remaining_micros, held_micros)), 0) AS least"
          "             FROM purser._lots AS o WHERE o.account_id = w.account_id) AS l,"
          "  LATERAL (SELECT sum(CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END) * "
          "1000000 AS entries,"
          "                  min(balance_after) AS least"
          "             FROM purser.ledger AS g WHERE g.account_id = w.account_id) AS e,"
          "  LATERAL (SELECT coalesce(sum(amount - captured), 0) * 1000000 AS held"
          "             FROM purser.credit_hold AS c WHERE c.account_id = w.account_id AND state = "
          "'open') AS h"
          " WHERE w.account_id LIKE 'reads-%'"
          "   AND NOT (w.balance_micros = l.lots AND w.balance_micros = e.entries AND l.held = "
          "h.held"
          "            AND l.least >= 0 AND e.least >= 0)");
      for (int i = 0; i < static_cast<int>(rows.size()); ++i)
        ADD_FAILURE() << text(rows, i, 0) << ": balance " << text(rows, i, 1) << ", lots "
                      << text(rows, i, 2) << ", entries " << text(rows, i, 3);
    }
  });
  const unsigned first = seed();
  crowd(sessions, {}, [&](int self, Session& s) {
    std::mt19937 source(first + static_cast<unsigned>(self));
    const auto below = [&](unsigned n) { return std::to_string(source() % n); };
    // As long as it takes for the reader to have looked often enough.
    for (int i = 0; i < steps || (reads <= 10 && i < 100 * steps); ++i) {
      const std::string account = "reads-" + below(accounts);
      const std::string id = std::to_string(self) + "-" + std::to_string(i);
      const std::string statement[] = {
          call("charge_credits", account, below(9) + ".5, 'work', 'c" + id + "'"),
          "SELECT purser.hold_credits('" + account + "', 1." + below(9) + ", 'work', '1 day', 'h" +
              below(40) + "')",
          call("capture_credits", account, "'h" + below(40) + "', 0.5, 'k" + id + "'"),
          "SELECT purser.release_credits('" + account + "', 'h" + below(40) + "')",
          call("refund_credits", account,
               "'credits/" + below(60) + "', 0.5, 'failed', 'r" + id + "'"),
          call("grant_credits", account, "1, 'promotional', 'g" + id + "'")};
      s.attempt(statement[source() % 6]);
    }
  });
  reader.finish(true);
  EXPECT_GT(reads, 10);
  EXPECT_NE(ask("count(*) FILTER (WHERE state = 'captured') FROM purser.credit_hold WHERE "
                "account_id LIKE 'reads-%'"),
            "0");
  expect_sound_books("reads-%");
}

// Time passes over one account at once and over its twin in many pieces; their ledgers say the
// same.
TEST_F(InvariantsUnderLoad, APeriodRunInPiecesEqualsRunOnce) {
  session.run(
      "SELECT purser.publish_plan('in-pieces', '{\"name\": \"Pieces\", \"credits\": {\"credits\":"
      " {\"allowance\": 100, \"rollover\": {\"percent\": 10, \"max_multiple\": 2, \"days\": "
      "40}}}}',"
      " 'test', 'test')");
  std::mt19937 source(seed());
  const auto at = [&](int hour) {
    session.run("SELECT set_config('purser.now', (timestamptz '2026-01-31 10:00Z' + interval '" +
                std::to_string(hour) + " hours')::text, false)");
  };
  for (int round = 0; round < 10; ++round) {
    const std::string once = "once-" + std::to_string(round),
                      pieces = "pieces-" + std::to_string(round);
    at(0);
    for (const std::string& account : {once, pieces}) {
      session.run("SELECT purser.subscribe('" + account + "', 'in-pieces', 'test')");
      session.run("SELECT purser.grant_credits('" + account +
                  "', 20, 'promotional', 'p', purser.clock() + interval '50 days')");
      session.run("SELECT purser.hold_credits('" + account + "', 30, 'work', '45 days', 'h')");
      session.run(call("charge_credits", account, "12.5, 'work', 'c'"));
    }
    const int end = 24 * (40 + static_cast<int>(source() % 160));
    for (int hour = 1; hour < end; hour += 1 + static_cast<int>(source() % (24 * 12))) {
      at(hour);
      session.run("SELECT purser._settle_wallets('" + pieces + "')");
    }
    at(end);
    const auto told = [&](const std::string& account) {
      session.run(call("charge_credits", account, "1, 'work', 'last'"));
      return ask(
          "string_agg(concat_ws(' ', entry_no, direction, reason, amount, balance_after, "
          "allocations, effective_at), E'\\n' ORDER BY entry_no)"
          " FROM purser.ledger WHERE account_id = '" +
          account + "'");
    };
    EXPECT_EQ(told(pieces), told(once)) << "round " << round << ", " << end << " hours";
    EXPECT_EQ(ask("purser.credit_balance('" + pieces + "')"),
              ask("purser.credit_balance('" + once + "')"));
  }
  session.run("SET purser.now = ''");
  expect_sound_books("pieces-%");
}

}  // namespace purser::test
