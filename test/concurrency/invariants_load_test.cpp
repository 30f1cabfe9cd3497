// The invariants of the books under load: many connections, and checks while they write.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <string>

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

}  // namespace purser::test
