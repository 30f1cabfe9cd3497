// Random histories of one counter (increments, holds, records of today and of earlier, resets,
// months that pass) against a model of a few lines that must agree after every step. A failing run
// prints the seed that replays it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr long limit = 20, ceiling = 35, grace = 3;

// What the rules say, told month by month. Time is days since 1 January 2026, months have 28 days'
// worth of calls, so that every day exists in each of them.
class Model {
 public:
  bool increment(long amount) {
    open_month();
    if (used() + held() + amount > limit + carried_ + grace) return false;
    month_used_[month_] += amount;
    return true;
  }
  bool hold(const std::string& id, long amount, int days) {
    open_month();
    if (used() + held() + amount > limit + carried_ + grace) return false;
    holds_[id] = {amount, now_ + days};
    return true;
  }
  // Empty when the hold is not open, else whether it was counted.
  std::string commit(const std::string& id, long amount) {
    open_month();
    const auto hold = holds_.find(id);
    if (hold == holds_.end() || hold->second.expires <= now_) return {};
    const long others = held() - hold->second.amount;
    if (amount > hold->second.amount && used() + others + amount > limit + carried_ + grace)
      return "f";
    month_used_[month_] += amount;
    holds_.erase(hold);
    return "t";
  }
  // False when less than nothing would remain used.
  bool record(long amount, int months_ago) {
    open_month();
    long& period = month_used_[month_ - months_ago];
    if (period + amount < 0) return false;
    period += amount;
    return true;
  }
  void reset() {
    open_month();
    kept_ += used();
    month_used_[month_] = 0;
    split_.insert(month_);
  }
  void pass(int days) { now_ += days; }

  int day() const { return now_; }
  int month() const { return now_ / 28; }
  // A reset leaves two periods in a month, and which of them an instant is in is not told here.
  bool was_split(int month) const { return split_.count(month) > 0; }
  long lifetime() const {
    long sum = kept_;
    for (const auto& [month, used] : month_used_) sum += used;
    return sum;
  }
  // As a question would be answered: nothing is opened by asking.
  long used_now() const { return Model(*this).opened().used(); }
  long held_now() const { return Model(*this).opened().held(); }
  long quota_now() const { return limit + Model(*this).opened().carried_; }

 private:
  struct Hold {
    long amount = 0;
    int expires = 0;
  };

  Model& opened() {
    open_month();
    return *this;
  }
  void open_month() {
    for (; month_ < month(); ++month_)
      carried_ = std::min(ceiling, std::max(0L, limit + carried_ - used()));
  }
  long used() const {
    const auto found = month_used_.find(month_);
    return found == month_used_.end() ? 0 : found->second;
  }
  long held() const {
    long sum = 0;
    for (const auto& [id, hold] : holds_)
      if (hold.expires > now_) sum += hold.amount;
    return sum;
  }

  int now_ = 40, month_ = 1;
  long carried_ = 0, kept_ = 0;
  std::map<int, long> month_used_;
  std::set<int> split_;
  std::map<std::string, Hold> holds_;
};

// The calendar instant of a day of the model: day d of month m is the (d + 1)th of it.
std::string instant(int day) {
  const int month = day / 28;
  const std::string two_digits = std::to_string(100 + month % 12 + 1).substr(1);
  return std::to_string(2026 + month / 12) + "-" + two_digits + "-" +
         std::to_string(101 + day % 28).substr(1) + " 12:00+00";
}

class QuotaHistory : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Session session;
    publish_test_plan(session);
    session.run(
        "SELECT purser.declare_features('{\"told\": {\"kind\": \"quota\", \"per\": \"month\"}}')");
    session.run(
        "SELECT purser.publish_plan('told', '{\"name\": \"Told\", \"features\": {\"told\":"
        " {\"quota\": 20, \"rollover\": 35, \"grace\": 3}}}', 'test', 'for the histories')");
    session.run("SELECT purser.set_setting('correction_days', '400')");
  }

  // "t" or "f", or the SQLSTATE of an error.
  std::string answer(const std::string& call) {
    const Outcome outcome = session.attempt("SELECT allowed FROM purser." + call);
    return outcome.ok() ? text(outcome.rows, 0, 0) : outcome.sqlstate;
  }

  void step(const std::string& account, Model& model, std::mt19937& random, int number) {
    const auto up_to = [&](int most) { return static_cast<int>(random() % (most + 1)); };
    const std::string arguments = "('" + account + "', 'told', ";
    const std::string hold_id = "h" + std::to_string(up_to(5));
    const long amount = 1 + up_to(8);
    switch (up_to(8)) {
      case 0:
      case 1:
        EXPECT_EQ(answer("check_and_increment" + arguments + std::to_string(amount) + ")"),
                  model.increment(amount) ? "t" : "f");
        break;
      case 2: {
        const std::string fresh = "n" + std::to_string(number);
        const int days = 1 + up_to(40);
        const std::string ttl = "'" + instant(model.day() + days) + "'::timestamptz - '" +
                                instant(model.day()) + "'::timestamptz";
        EXPECT_EQ(answer("hold_quota" + arguments + std::to_string(amount) + ", " + ttl + ", '" +
                         fresh + "')"),
                  model.hold(fresh, amount, days) ? "t" : "f");
        last_hold_ = fresh;
        break;
      }
      case 3: {
        const std::string expected = model.commit(last_hold_, amount - 1);
        EXPECT_EQ(answer("commit_quota('" + account + "', '" + last_hold_ + "', " +
                         std::to_string(amount - 1) + ")"),
                  expected.empty() ? "PU006" : expected);
        if (expected == "t") last_hold_ = "none";
        break;
      }
      case 4: {
        const long signed_amount = up_to(1) ? amount : -amount;
        EXPECT_EQ(answer("record_usage" + arguments + std::to_string(signed_amount) + ")"),
                  model.record(signed_amount, 0) ? "t" : "PU013");
        break;
      }
      case 5: {
        if (model.month() < 3) break;
        const int months_ago = 1 + up_to(1);
        if (model.was_split(model.month() - months_ago)) break;
        const long signed_amount = up_to(1) ? amount : -amount;
        EXPECT_EQ(answer("record_usage" + arguments + std::to_string(signed_amount) + ", NULL, '" +
                         instant(model.day() - 28 * months_ago) + "')"),
                  model.record(signed_amount, months_ago) ? "t" : "PU013");
        break;
      }
      case 6:
        if (up_to(3) > 0 || model.used_now() == 0) break;
        session.run("SELECT purser.reset_usage" + arguments + "'test', 'history')");
        model.reset();
        break;
      default:
        model.pass(1 + up_to(up_to(3) == 0 ? 60 : 9));
        session.run("SET purser.now = '" + instant(model.day()) + "'");
    }
  }

  void compare(const std::string& account, const Model& model) {
    const auto rows =
        session.run("SELECT used, held, quota FROM purser.check_quota('" + account + "', 'told')");
    ASSERT_EQ(std::stol(text(rows, 0, 0)), model.used_now());
    ASSERT_EQ(std::stol(text(rows, 0, 1)), model.held_now());
    ASSERT_EQ(std::stol(text(rows, 0, 2)), model.quota_now());
    const auto totals = session.run(
        "SELECT coalesce((SELECT lifetime FROM purser.entitlement WHERE account_id = '" + account +
        "' AND feature = 'told'), 0), coalesce((SELECT sum(used) FROM purser.usage_history"
        " WHERE account_id = '" +
        account + "' AND feature = 'told'), 0)");
    ASSERT_EQ(std::stol(text(totals, 0, 0)), model.lifetime());
    ASSERT_EQ(std::stol(text(totals, 0, 1)), model.lifetime());
  }

  Session session;
  std::string last_hold_ = "none";
};

}  // namespace

TEST_F(QuotaHistory, AgreesWithTheModelAfterEveryStep) {
  constexpr int histories = 60, steps = 50;
  std::mt19937 random(seed());
  for (int i = 0; i < histories; ++i) {
    const std::string account = "history-" + std::to_string(i);
    Model model;
    last_hold_ = "none";
    session.run("SET purser.now = '" + instant(model.day()) + "'");
    session.run("SELECT purser.subscribe('" + account + "', 'told', 'test')");
    for (int k = 0; k < steps; ++k) {
      step(account, model, random, k);
      compare(account, model);
      if (HasFailure()) FAIL() << "history " << i << ", step " << k;
    }
  }
}

}  // namespace purser::test
