// Customers for the crash test: they work for a while through whatever happens to the server, and
// leave what they sent and what was answered in two files.
//
//   crash_load SECONDS CUSTOMERS DIRECTORY
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "test/concurrency/customer.hpp"

using purser::test::Customer;
using purser::test::Session;

namespace {

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
           const std::set<std::string>& (Customer::*which)() const) {
  std::ofstream file(path);
  for (const Customer& customer : crew)
    for (const std::string& id : (customer.*which)()) file << id << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: crash_load SECONDS CUSTOMERS DIRECTORY\n";
    return 2;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  const std::string directory = argv[3];
  prepare();
  std::vector<Customer> crew;
  for (int i = 0; i < std::atoi(argv[2]); ++i)
    crew.emplace_back(account_of(i), "customer-" + std::to_string(i));
  std::ofstream(directory + "/working") << "yes\n";
  std::vector<std::thread> threads;
  for (Customer& customer : crew)
    threads.emplace_back(
        [&] { customer.work([&] { return std::chrono::steady_clock::now() > end; }); });
  for (std::thread& thread : threads) thread.join();
  write(directory + "/attempted", crew, &Customer::attempted);
  write(directory + "/acknowledged", crew, &Customer::acknowledged);
  for (const Customer& customer : crew)
    if (!customer.complaint().empty()) {
      std::cerr << customer.complaint() << '\n';
      return 1;
    }
  return 0;
}
