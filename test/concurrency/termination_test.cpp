// Backends terminated in mid-transaction under load: what was acknowledged is there, nothing is
// half done, and the books balance.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "test/concurrency/customer.hpp"

namespace purser::test {

namespace {

constexpr int customers = 8;
constexpr int accounts = 3;  // shared, so that the killed hold locks others wait for
constexpr std::chrono::seconds duration{6};

// One customer at a time, those in the middle of a transaction first.
void terminate_one(Session& session) {
  session.run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
      " WHERE application_name = 'purser customer' AND datname = current_database()"
      " ORDER BY state LIKE 'idle' , random() LIMIT 1");
}

void expect_no_row(Session& session, const std::string& sql) {
  const auto rows = session.run(sql);
  for (int i = 0; i < static_cast<int>(rows.size()); ++i)
    ADD_FAILURE() << text(rows, i, 0) << " " << text(rows, i, 1) << " " << text(rows, i, 2);
}

std::set<std::string> all(const std::vector<Customer>& crew,
                          const std::set<std::string>& (Customer::*which)() const) {
  std::set<std::string> ids;
  for (const Customer& customer : crew)
    ids.insert((customer.*which)().begin(), (customer.*which)().end());
  return ids;
}

std::set<std::string> present(Session& session) {
  std::set<std::string> ids;
  const auto rows = session.run("SELECT id FROM work_item");
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) ids.insert(text(rows, i, 0));
  return ids;
}

bool contains(const std::set<std::string>& larger, const std::set<std::string>& smaller) {
  return std::includes(larger.begin(), larger.end(), smaller.begin(), smaller.end());
}

}  // namespace

TEST(Termination, BackendsTerminatedInMidTransactionLeaveNothingHalfDone) {
  Session session;
  Customer::prepare(session);
  std::vector<Customer> crew;
  for (int i = 0; i < customers; ++i) {
    const std::string account = "worker-" + std::to_string(i % accounts);
    session.run("SELECT purser.grant_credits('" + account + "', 1000, 'purchased', 'buy')");
    crew.emplace_back(account, "customer-" + std::to_string(i));
  }
  const auto end = std::chrono::steady_clock::now() + duration;
  const auto stop = [&] { return std::chrono::steady_clock::now() > end; };
  std::vector<std::jthread> threads;
  for (Customer& customer : crew) threads.emplace_back([&] { customer.work(stop); });
  while (!stop()) {
    terminate_one(session);
    expect_no_row(session, what_is_half_done);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (std::jthread& thread : threads) thread.join();

  int lost = 0;
  for (const Customer& customer : crew) {
    EXPECT_EQ(customer.complaint(), "");
    lost += customer.lost();
  }
  EXPECT_GT(lost, 20) << "backends died in the middle of their work";
  expect_no_row(session, what_is_half_done);
  expect_no_row(session, "SELECT path, rule, message FROM purser.verify_ledger()");
  const std::set<std::string> there = present(session);
  EXPECT_TRUE(contains(there, all(crew, &Customer::acknowledged)))
      << "what was acknowledged is present";
  EXPECT_TRUE(contains(all(crew, &Customer::attempted), there)) << "what is present was attempted";
}

}  // namespace purser::test
