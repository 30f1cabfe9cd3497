// Both ends of the crash test: customers who work through whatever happens to the server, and the
// reading of what is there afterwards.
//
//   crash_load work CUSTOMERS DIRECTORY    works until DIRECTORY/stop exists; leaves what was sent
//                                          and what was answered in DIRECTORY
//   crash_load verify DIRECTORY            compares that with the database, a line for each rule
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "test/concurrency/customer.hpp"

using purser::test::Customer;
using purser::test::Session;

namespace {

using Ids = std::set<std::string>;

constexpr int accounts = 3;

std::string account_of(int customer) {
  return "worker-" + std::to_string(customer % accounts);
}

void prepare() {
  Session session;
  Customer::prepare(session);
  for (int i = 0; i < accounts; ++i)
    session.run("SELECT purser.grant_credits('" + account_of(i) + "', 1000, 'purchased', 'buy')");
}

void write(const std::string& path, const std::vector<Customer>& crew,
           const Ids& (Customer::*which)() const) {
  std::ofstream file(path);
  for (const Customer& customer : crew)
    for (const std::string& id : (customer.*which)()) file << id << '\n';
}

Ids read(const std::string& path) {
  std::ifstream file(path);
  Ids ids;
  for (std::string id; std::getline(file, id);) ids.insert(id);
  return ids;
}

int work(int customers, const std::string& directory) {
  prepare();
  std::vector<Customer> crew;
  for (int i = 0; i < customers; ++i)
    crew.emplace_back(account_of(i), "customer-" + std::to_string(i));
  std::vector<std::thread> threads;
  for (Customer& customer : crew)
    threads.emplace_back(
        [&] { customer.work([&] { return std::filesystem::exists(directory + "/stop"); }); });
  for (std::thread& thread : threads) thread.join();
  write(directory + "/attempted", crew, &Customer::attempted);
  write(directory + "/acknowledged", crew, &Customer::acknowledged);
  int complaints = 0, lost = 0;
  for (const Customer& customer : crew) {
    lost += customer.lost();
    if (customer.complaint().empty()) continue;
    std::cerr << customer.complaint() << '\n';
    ++complaints;
  }
  std::cout << lost << " times a request found no server, or lost it on the way\n";
  return complaints == 0 ? 0 : 1;
}

class Verdict {
 public:
  void rule(const std::string& name, const std::vector<std::string>& broken_by) {
    std::cout << (broken_by.empty() ? "ok " : "FAILED ") << name << '\n';
    for (std::size_t i = 0; i < std::min<std::size_t>(broken_by.size(), 20); ++i)
      std::cout << "  " << broken_by[i] << '\n';
    failed_ |= !broken_by.empty();
  }

  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

std::vector<std::string> missing(const Ids& from, const Ids& expected) {
  std::vector<std::string> ids;
  std::set_difference(expected.begin(), expected.end(), from.begin(), from.end(),
                      std::back_inserter(ids));
  return ids;
}

std::vector<std::string> rows_of(Session& session, const std::string& sql) {
  std::vector<std::string> lines;
  const auto rows = session.run(sql);
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    std::string line;
    for (int column = 0; column < static_cast<int>(rows.columns()); ++column)
      line += purser::test::text(rows, i, column) + " ";
    lines.push_back(line);
  }
  return lines;
}

int verify(const std::string& directory) {
  const Ids attempted = read(directory + "/attempted");
  const Ids acknowledged = read(directory + "/acknowledged");
  Session session;
  Ids present;
  for (std::string line : rows_of(session, "SELECT id FROM work_item"))
    present.insert(line.substr(0, line.size() - 1));
  std::cout << acknowledged.size() << " acknowledged, " << present.size() << " present, "
            << attempted.size() << " attempted\n";
  Verdict verdict;
  verdict.rule("there was work to lose", acknowledged.size() < 100
                                             ? std::vector<std::string>{"too little"}
                                             : std::vector<std::string>{});
  verdict.rule("what was acknowledged is present", missing(present, acknowledged));
  verdict.rule("what is present was attempted", missing(attempted, present));
  verdict.rule("nothing is half done", rows_of(session, purser::test::what_is_half_done));
  verdict.rule("each is in the ledger once",
               rows_of(session,
                       "SELECT correlation_id, count(*) FROM purser.ledger"
                       " WHERE direction = 'DEBIT' GROUP BY correlation_id HAVING count(*) > 1"));
  verdict.rule("no hold is left open",
               rows_of(session, "SELECT hold_id FROM purser.credit_hold WHERE state = 'open'"));
  verdict.rule("the books reconcile", rows_of(session, "SELECT * FROM purser.reconcile()"));
  verdict.rule("the ledger verifies", rows_of(session, "SELECT * FROM purser.verify_ledger()"));
  return verdict.failed() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "work")
    return work(std::atoi(argv[2]), arguments[2]);
  if (arguments.size() == 2 && arguments[0] == "verify") return verify(arguments[1]);
  std::cerr << "usage: crash_load work CUSTOMERS DIRECTORY | crash_load verify DIRECTORY\n";
  return 2;
}
