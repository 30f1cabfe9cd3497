// What a wallet must do, told again in plain integers and independent of the library: millionths of
// credits, hours since the beginning of 2026. The tests of the invariants hold the database to it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace purser::test {

using Micros = long long;
using Hour = int;
inline constexpr Hour never = 1 << 30;

struct ModelLot {
  int id = 0;
  int priority = 0;
  Hour expires = never;
  Micros remaining = 0, held = 0;
};

using Parts = std::vector<std::pair<int, Micros>>;  // grant and amount
std::string to_string(const Parts& parts);
Micros sum(const Parts& parts);

struct ModelEntry {
  int no = 0;
  bool debit = false;
  std::string reason;
  Micros amount = 0, balance_after = 0;
  Parts parts;
  Hour effective = 0;
  Hour taken = 0;       // from its grants: before it, when it was held first
  std::string id;       // correlation id, empty for what time did
  int refund_of = 0;    // 0: no refund
  std::string hold;     // of a capture
  int resource = 0;     // 0: none
  Micros refunded = 0;  // of a charge, so far
};

struct ModelHold {
  std::string id, wallet;
  Micros amount = 0, captured = 0;
  Parts parts;
  Hour made = 0, expires = 0;
  int resource = 0;
  std::string state = "open";
};

// An SQLSTATE, or the entry that was made.
struct ModelAnswer {
  std::string sqlstate;
  ModelEntry entry;
  bool ok() const { return sqlstate.empty(); }
};

class ModelWallet {
 public:
  std::vector<ModelLot> lots;  // in debit order
  std::vector<ModelEntry> entries;
  Micros balance = 0;
  std::map<Hour, Micros> spendable_then;  // at the end of each hour something happened in

  Micros spendable(Hour now) const;
  Micros held() const;

  ModelAnswer grant(Micros amount, int priority, Hour expires, const std::string& id, Hour now);
  ModelAnswer charge(Micros amount, const std::string& reason, const std::string& id, int resource,
                     Hour now);
  ModelAnswer refund(int entry_no, std::optional<Micros> amount, const std::string& id, Hour now);

  // nullopt on a shortfall.
  std::optional<Parts> hold(Micros amount, Hour now);
  ModelAnswer capture(ModelHold& hold, std::optional<Micros> amount, bool final,
                      const std::string& id, Hour now);
  void release(ModelHold& hold, const char* state, Hour now);

  // Everything up to now in the order of its instants.
  void pass(std::vector<ModelHold>& holds, const std::string& name, Hour now);

 private:
  ModelLot* find(int id);
  void sort();
  void drop_empty();
  std::optional<Parts> plan(Micros amount, Hour now) const;
  void give_back(const Parts& parts);
  void lose(Hour until, Hour at_the_earliest);
  ModelEntry& write(ModelEntry entry);

  struct Made {
    Hour expires;
    int priority;
  };
  std::map<int, Made> grants_;
  int last_grant_ = 0;
};

}  // namespace purser::test
