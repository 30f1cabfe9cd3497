// A customer that keeps working while servers die under it: each request is one transaction of the
// application's own row, one unit of quota and one charge or captured hold, sent again under the
// same ids until an answer arrives. It writes down what it sent and what was answered, and believes
// nothing else.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "test/concurrency/session.hpp"

namespace purser::test {

class Customer {
 public:
  Customer(std::string account, std::string name)
      : account_(std::move(account)), name_(std::move(name)) {}

  // Sends requests until `stop` says so; a request in flight is given up then.
  void work(const std::function<bool()>& stop);

  const std::set<std::string>& attempted() const { return attempted_; }
  const std::set<std::string>& acknowledged() const { return acknowledged_; }
  int lost() const { return lost_; }
  const std::string& complaint() const { return complaint_; }  // an answer it did not expect

  // The plan and the application's table that the work needs. Every account wants credits too.
  static void prepare(Session& session);

 private:
  bool request(const std::string& id);
  bool pay(const std::string& id);
  bool step(const std::string& sql);
  bool connect();

  std::string account_, name_;
  std::unique_ptr<Session> session_;
  std::set<std::string> attempted_, acknowledged_;
  int lost_ = 0;
  std::string complaint_;
};

// Every work item is in the application's table, in the ledger, and counted, or in none of them;
// rows say where not.
extern const char what_is_half_done[];

}  // namespace purser::test
