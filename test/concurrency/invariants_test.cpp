// The twenty invariants of the books, by name. Generated histories are carried out beside a model
// (wallet_model) that must agree after every step: short ones by the hundred and a few long. What
// needs many connections at the same moment is in invariants_load_test.cpp.
//
// A run is made from a seed (PURSER_TEST_SEED); PURSER_TEST_HISTORIES asks for more of them. One
// run serves all tests here: each names an invariant, and fails when that was broken or never
// tried.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "test/concurrency/session.hpp"
#include "test/concurrency/wallet_model.hpp"

namespace purser::test {

namespace {

constexpr int steps_of_short = 12, steps_of_long = 500, long_histories = 4;
constexpr int sessions = 4;
constexpr std::size_t most_reported = 5;
constexpr const char* wallet_names[] = {"credits", "tokens"};
constexpr int resources = 3;

// What was found, by invariant.
class Findings {
 public:
  void check(const std::string& invariant, bool holds, const std::string& otherwise) {
    const std::lock_guard lock(mutex_);
    Found& found = found_[invariant];
    ++found.checks;
    if (!holds) found.broken.push_back(otherwise);
  }

  void expect(const std::string& invariant) const {
    const auto found = found_.find(invariant);
    ASSERT_TRUE(found != found_.end()) << "was never tried";
    for (std::size_t i = 0; i < std::min(found->second.broken.size(), most_reported); ++i)
      ADD_FAILURE() << found->second.broken[i];
    EXPECT_TRUE(found->second.broken.empty())
        << found->second.broken.size() << " of " << found->second.checks << " checks failed";
  }

  bool any_broken() const {
    const std::lock_guard lock(mutex_);
    return std::any_of(found_.begin(), found_.end(),
                       [](const auto& found) { return !found.second.broken.empty(); });
  }

 private:
  struct Found {
    int checks = 0;
    std::vector<std::string> broken;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Found> found_;
};

std::string decimal(Micros micros) {
  return std::to_string(micros) + "::numeric / 1000000";
}

std::string literal(const std::string& text) {
  return "'" + text + "'";
}

std::string instant(Hour hour) {
  if (hour == never) return "NULL";
  return "timestamptz '2026-01-01 00:00Z' + interval '" + std::to_string(hour) + " hours'";
}

const std::string parts_of(const std::string& allocations) {
  return "(SELECT string_agg((a ->> 'grant_id') || ':' || "
         "trunc((a ->> 'amount')::numeric * 1000000), ',' ORDER BY o)"
         "   FROM jsonb_array_elements(" +
         allocations + ") WITH ORDINALITY AS e (a, o))";
}

// A call that makes an entry: how it is written, with its amount apart.
struct Call {
  std::string before, amount, after;
  std::string sql(const std::string& other_amount = {}) const {
    return "SELECT entry_id, trunc(amount * 1000000), trunc(balance_after * 1000000), " +
           parts_of("allocations") + ", replayed FROM purser." + before +
           (other_amount.empty() ? amount : other_amount) + after;
  }
};

// One account with its wallets, in the database and in the model.
class History {
 public:
  History(std::string account, unsigned seed, Session& session, Findings& findings)
      : account_(std::move(account)), source_(seed), session_(session), findings_(findings) {
    for (const char* name : wallet_names) wallets_[name];
    move_clock(1 + below(100));
  }

  void run(int steps) {
    for (int i = 0; i < steps && !findings_.any_broken(); ++i) step();
    check_ledger();
    check_invoices();
    check_past();
  }

 private:
  struct State {
    ModelWallet model;
    bool exists = false;
    bool settled = true;  // written since the clock last moved
  };
  struct Made {
    Call call;
    std::string wallet;
    ModelEntry entry;
  };

  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(source_); }
  bool percent(int p) { return below(100) < p; }
  Micros some_amount(Micros most) {
    const Micros whole = 1 + below(static_cast<int>(std::max<Micros>(most / 1'000'000, 1)));
    return percent(50) ? whole * 1'000'000 : whole * 1'000'000 - below(999'999);
  }
  std::string new_id() { return "id-" + std::to_string(++ids_); }
  State& some_wallet() {
    wallet_ = wallet_names[percent(75) ? 0 : 1];
    return wallets_[wallet_];
  }
  std::string told(const std::string& what) const {
    return account_ + " at hour " + std::to_string(now_) + ": " + what;
  }
  void check(const char* invariant, bool holds, const std::string& otherwise) {
    findings_.check(invariant, holds, told(otherwise));
  }

  void step() {
    const int dice = below(100);
    if (dice < 22)
      grant();
    else if (dice < 44)
      charge();
    else if (dice < 56)
      refund();
    else if (dice < 66)
      hold();
    else if (dice < 74)
      capture();
    else if (dice < 78)
      release();
    else if (dice < 84)
      replay();
    else if (dice < 88)
      reuse_key();
    else if (dice < 91)
      retry_refused();
    else if (dice < 93)
      set_active(!active_);
    else
      move_clock(now_ + 1 + below(30));
    check_state();
  }

  // ---- what is done
  // ------------------------------------------------------------------------------

  void grant() {
    static constexpr struct {
      const char* kind;
      int priority;
    } kinds[] = {{"monthly", 10}, {"rollover", 20},   {"promotional", 30},
                 {"refund", 40},  {"adjustment", 50}, {"purchased", 60}};
    State& wallet = some_wallet();
    const auto& kind = kinds[below(6)];
    const bool other = percent(20);
    const int priority = other ? below(101) : kind.priority;
    const Hour expires = percent(60) ? now_ + 1 + below(80) : never;
    const Micros amount = some_amount(100'000'000);
    const std::string id = new_id();
    const Call call{"grant_credits(" + literal(account_) + ", ", decimal(amount),
                    ", " + literal(kind.kind) + ", " + literal(id) + ", " + instant(expires) +
                        ", " + (other ? std::to_string(priority) : "NULL") + ", " +
                        literal(wallet_) + ")"};
    settle(wallet, call, wallet.model.grant(amount, priority, expires, id, now_));
  }

  void charge() {
    State& wallet = some_wallet();
    const Micros amount = some_amount(wallet.model.spendable(now_) * 11 / 10 + 1'000'000);
    charge(wallet, amount, new_id());
  }

  void charge(State& wallet, Micros amount, const std::string& id) {
    const int resource = below(resources + 1);
    const std::string of =
        resource == 0 ? "NULL, NULL" : "'job', 'j" + std::to_string(resource) + "'";
    const Call call{
        "charge_credits(" + literal(account_) + ", ", decimal(amount),
        ", 'work', " + literal(id) + ", " + of + ", wallet => " + literal(wallet_) + ")"};
    if (!active_)
      refuse(call, "PU003");
    else
      settle(wallet, call, wallet.model.charge(amount, "work", id, resource, now_));
  }

  void refund() {
    State& wallet = some_wallet();
    const int entries = static_cast<int>(wallet.model.entries.size());
    if (entries == 0) return;
    const int entry = 1 + below(percent(95) ? entries : entries + 2);
    // What time did has no number yet when nobody has written it down.
    if (!wallet.settled && entry <= entries &&
        wallet.model.entries[static_cast<std::size_t>(entry) - 1].id.empty())
      return;
    std::optional<Micros> amount;
    if (percent(70)) amount = some_amount(40'000'000);
    const std::string id = new_id();
    const Call call{"refund_credits(" + literal(account_) + ", '" + wallet_ + "/" +
                        std::to_string(entry) + "', ",
                    amount ? decimal(*amount) : "NULL", ", 'refund', " + literal(id) + ")"};
    const ModelAnswer answer = wallet.model.refund(entry, amount, id, now_);
    settle(wallet, call, answer);
    if (!answer.ok()) {
      check("RefundsNeverExceedTheCharge", true, "");
      return;
    }
    const ModelEntry& charged =
        wallet.model.entries[static_cast<std::size_t>(answer.entry.refund_of) - 1];
    check("RefundsNeverExceedTheCharge", charged.refunded <= charged.amount, "more went back");
  }

  void hold() {
    State& wallet = some_wallet();
    const Micros before = wallet.model.spendable(now_);
    const Micros amount = some_amount(before * 11 / 10 + 1'000'000);
    const Hour hours = 1 + below(40);
    ModelHold made{new_id(), wallet_, amount, 0, {}, now_, now_ + hours, below(resources + 1)};
    const std::string of =
        made.resource == 0 ? "NULL, NULL" : "'job', 'j" + std::to_string(made.resource) + "'";
    const std::string sql = "SELECT state, trunc(remaining * 1000000), " + parts_of("allocations") +
                            ", replayed FROM purser.hold_credits(" + literal(account_) + ", " +
                            decimal(amount) + ", 'work', '" + std::to_string(hours) + " hours', " +
                            literal(made.id) + ", " + of + ", NULL, " + literal(wallet_) + ")";
    const auto parts = active_ ? wallet.model.hold(amount, now_) : std::nullopt;
    const std::string expected = !active_ ? "PU003" : parts ? "" : "PU002";
    const Outcome outcome = attempt(sql, expected);
    if (!outcome.ok() || !parts) return;
    wallet.settled = wallet.exists = true;
    made.parts = *parts;
    check("DebitOrderIsKept", text(outcome.rows, 0, 2) == to_string(*parts),
          sql + " took " + text(outcome.rows, 0, 2) + ", expected " + to_string(*parts));
    holds_.push_back(made);
    const std::string again = told_by(session_.attempt(sql));
    check("ReplayReturnsTheSameEntry",
          again == "open|" + std::to_string(amount) + "|" + to_string(*parts) + "|t",
          sql + " again: " + again);
    check(
        "HoldReducesSpendable", spendable_in_database() == before - amount,
        sql + " left " + std::to_string(spendable_in_database()) + " of " + std::to_string(before));
  }

  void capture() {
    if (holds_.empty()) return;
    ModelHold& hold = holds_[static_cast<std::size_t>(below(static_cast<int>(holds_.size())))];
    wallet_ = hold.wallet;
    State& wallet = wallets_[wallet_];
    const bool final = percent(50);
    std::optional<Micros> amount;
    if (percent(80)) amount = some_amount(sum(hold.parts) * 11 / 10 + 1'000'000);
    const std::string id = new_id();
    const Call call{"capture_credits(" + literal(account_) + ", " + literal(hold.id) + ", ",
                    amount ? decimal(*amount) : "NULL",
                    ", " + literal(id) + (final ? ", true)" : ", false)")};
    const ModelAnswer answer = wallet.model.capture(hold, amount, final, id, now_);
    settle(wallet, call, answer);
    check("HoldResolvesOnce", true, "");
    if (!answer.ok() || !final) return;
    check("RemainderOfACaptureReturnsToItsOwnGrants", lots_in_database() == lots_of(wallet.model),
          call.sql() + " left " + lots_in_database() + ", expected " + lots_of(wallet.model));
  }

  void release() {
    if (holds_.empty()) return;
    ModelHold& hold = holds_[static_cast<std::size_t>(below(static_cast<int>(holds_.size())))];
    wallet_ = hold.wallet;
    State& wallet = wallets_[wallet_];
    const bool open = hold.state == "open", before = hold.state == "released";
    const std::string sql = "SELECT state, replayed FROM purser.release_credits(" +
                            literal(account_) + ", " + literal(hold.id) + ")";
    const Outcome outcome = attempt(sql, open || before ? "" : "PU006");
    if (!outcome.ok()) return;
    check("HoldResolvesOnce", told_by(outcome) == (open ? "released|f" : "released|t"),
          sql + ": " + told_by(outcome));
    wallet.settled = true;
    if (open) wallet.model.release(hold, "released", now_);
  }

  void replay() {
    if (made_.empty()) return;
    const Made& made = made_[static_cast<std::size_t>(below(static_cast<int>(made_.size())))];
    const std::string before = database_state();
    const std::string answer = told_by(session_.attempt(made.call.sql()));
    check("ReplayReturnsTheSameEntry", answer == expected(made.wallet, made.entry, true),
          made.call.sql() + " answered " + answer + ", expected " +
              expected(made.wallet, made.entry, true));
    if (wallets_[made.wallet].settled)
      check("ReplayReturnsTheSameEntry", database_state() == before,
            made.call.sql() + " changed something");
  }

  void reuse_key() {
    if (made_.empty()) return;
    const Made& made = made_[static_cast<std::size_t>(below(static_cast<int>(made_.size())))];
    const std::string sql = made.call.sql(decimal(made.entry.amount + 1 + below(1000)));
    const std::string before = database_state();
    const Outcome outcome = session_.attempt(sql);
    check("SameKeyWithAnotherPayloadIsRefusedWithoutEffect",
          outcome.sqlstate == "PU005" && database_state() == before,
          sql + ": " + outcome.sqlstate + " " + outcome.message);
  }

  // A refusal leaves no key: the same request is decided anew.
  void retry_refused() {
    if (refused_id_.empty()) return;
    wallet_ = refused_wallet_;
    const std::string id = refused_id_;
    State& wallet = wallets_[wallet_];
    const Micros spendable = wallet.model.spendable(now_);
    if (spendable == 0 || !active_) return;
    refused_id_.clear();
    const std::size_t entries = wallet.model.entries.size();
    charge(wallet, some_amount(spendable) % spendable + 1, id);
    check("ARejectedKeyIsDecidedAnew", wallet.model.entries.size() == entries + 1,
          "the id of a refused charge could not be used");
  }

  void set_active(bool active) {
    active_ = active;
    session_.run("SELECT purser.set_account_status(" + literal(account_) +
                 (active ? ", 'active'" : ", 'suspended'") + ", 'test', 'test')");
  }

  void move_clock(Hour hour) {
    const Micros held_before = held();
    for (auto& [name, state] : wallets_)
      state.model.spendable_then[now_] = state.model.spendable(now_);
    now_ = hour;
    session_.run("SELECT set_config('purser.now', (" + instant(now_) + ")::text, false)");
    const Micros held_for_ever = held_beyond(now_);
    for (auto& [name, state] : wallets_) {
      state.model.pass(holds_, name, now_);
      state.settled = false;
    }
    check("ExpiryNeverTakesHeldCredits", held() == held_for_ever && held() <= held_before,
          "the model is wrong");
  }

  // ---- what the database answers
  // -----------------------------------------------------------------

  std::string expected(const std::string& wallet, const ModelEntry& entry, bool replayed) const {
    return wallet + "/" + std::to_string(entry.no) + "|" + std::to_string(entry.amount) + "|" +
           std::to_string(entry.balance_after) + "|" + to_string(entry.parts) +
           (replayed ? "|t" : "|f");
  }

  static std::string told_by(const Outcome& outcome) {
    if (!outcome.ok()) return outcome.sqlstate;
    std::string told;
    for (int row = 0; row < static_cast<int>(outcome.rows.size()); ++row)
      for (int column = 0; column < static_cast<int>(outcome.rows.columns()); ++column)
        told += (column > 0 ? "|" : row > 0 ? "\n" : "") + text(outcome.rows, row, column);
    return told;
  }

  Outcome attempt(const std::string& sql, const std::string& sqlstate) {
    const std::string before = sqlstate.empty() ? "" : database_state();
    Outcome outcome = session_.attempt(sql);
    check("TheModelAgreesAfterEveryStep", outcome.sqlstate == sqlstate,
          sql + ": " + outcome.sqlstate + " " + outcome.message + ", expected " + sqlstate);
    if (!sqlstate.empty())
      check("ARejectionLeavesTheStateIdentical", database_state() == before,
            sql + " changed something");
    return outcome;
  }

  void refuse(const Call& call, const std::string& sqlstate) { attempt(call.sql(), sqlstate); }

  void settle(State& wallet, const Call& call, const ModelAnswer& answer) {
    const Outcome outcome = attempt(call.sql(), answer.sqlstate);
    if (answer.sqlstate == "PU002") {
      refused_id_ = "id-" + std::to_string(ids_);
      refused_wallet_ = wallet_;
    }
    if (!outcome.ok() || !answer.ok()) return;
    wallet.settled = wallet.exists = true;
    const std::string told = told_by(outcome), wanted = expected(wallet_, answer.entry, false);
    const char* invariant = answer.entry.refund_of != 0 ? "RefundRestoresTheExactGrants"
                            : answer.entry.debit        ? "DebitOrderIsKept"
                                                        : "TheModelAgreesAfterEveryStep";
    check(invariant, told == wanted, call.sql() + " answered " + told + ", expected " + wanted);
    made_.push_back({call, wallet_, answer.entry});
  }

  Micros spendable_in_database() {
    return std::stoll(only(session_.run("SELECT trunc(purser.credit_balance(" + literal(account_) +
                                        ", " + literal(wallet_) + ") * 1000000)")));
  }

  std::string database_state() {
    return only(
        session_.run("SELECT concat_ws('#',"
                     " (SELECT string_agg(w::text, ';' ORDER BY w.wallet) FROM purser.wallet AS w "
                     "WHERE w.account_id = " +
                     literal(account_) +
                     "),"
                     " (SELECT count(*) FROM purser.ledger AS l WHERE l.account_id = " +
                     literal(account_) +
                     "),"
                     " (SELECT count(*) FROM purser.credit_grant AS g WHERE g.account_id = " +
                     literal(account_) +
                     "),"
                     " (SELECT string_agg(h::text, ';' ORDER BY h.hold_id) FROM purser.credit_hold "
                     "AS h WHERE h.account_id = " +
                     literal(account_) + "))"));
  }

  static std::string lots_of(const ModelWallet& model) {
    std::string lots;
    for (const ModelLot& lot : model.lots)
      lots += (lots.empty() ? "" : ",") + std::to_string(lot.id) + ":" +
              std::to_string(lot.remaining) + ":" + std::to_string(lot.held) + ":" +
              std::to_string(lot.expires);
    return lots;
  }

  std::string lots_in_database() {
    return only(
        session_.run("SELECT string_agg(concat_ws(':', grant_id, remaining_micros, held_micros, "
                     "purser_test_hour(expires_at)), "
                     "',' ORDER BY place)"
                     "  FROM purser._lots WHERE account_id = " +
                     literal(account_) + " AND wallet = " + literal(wallet_)));
  }

  Micros held() const {
    Micros total = 0;
    for (const auto& [name, state] : wallets_) total += state.model.held();
    return total;
  }

  Micros held_beyond(Hour hour) const {
    Micros total = 0;
    for (const ModelHold& hold : holds_)
      if (hold.state == "open" && hold.expires > hour) total += sum(hold.parts);
    return total;
  }

  // ---- what must hold after each step
  // --------------------------------------------------------------

  void check_state() {
    const auto rows = session_.run(
        "SELECT n.wallet, coalesce(w.balance_micros, 0), coalesce(w.last_entry_no, 0),"
        "       trunc(purser.credit_balance(" +
        literal(account_) +
        ", n.wallet) * 1000000),"
        "       (SELECT string_agg(concat_ws(':', grant_id, remaining_micros, held_micros, "
        "purser_test_hour(expires_at)), ',' "
        "ORDER BY place)"
        "          FROM purser._lots AS l WHERE l.account_id = w.account_id AND l.wallet = "
        "w.wallet),"
        "       coalesce(trunc(e.total * 1000000), 0), e.entries, coalesce(e.last, 0), e.least < 0,"
        "       coalesce((SELECT sum(remaining_micros + held_micros) FROM purser._lots AS l WHERE "
        "l.account_id = w.account_id AND l.wallet = w.wallet), 0),"
        "       coalesce((SELECT least(min(remaining_micros), min(held_micros)) < 0 FROM "
        "purser._lots AS l WHERE l.account_id = w.account_id AND l.wallet = w.wallet), false),"
        "       coalesce((SELECT sum(held_micros) FROM purser._lots AS l WHERE l.account_id = "
        "w.account_id AND l.wallet = w.wallet), 0)"
        "  FROM (VALUES ('credits'), ('tokens')) AS n (wallet)"
        "  LEFT JOIN purser.wallet AS w ON w.account_id = " +
        literal(account_) +
        " AND w.wallet = n.wallet"
        " CROSS JOIN LATERAL (SELECT sum(CASE l.direction WHEN 'CREDIT' THEN l.amount ELSE "
        "-l.amount END) AS total,"
        "                            count(*) AS entries, max(l.entry_no) AS last, "
        "min(l.balance_after) AS least"
        "                       FROM purser.ledger AS l WHERE l.account_id = w.account_id AND "
        "l.wallet = w.wallet) AS e"
        " ORDER BY 1");
    for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
      const auto number = [&](int column) { return std::stoll(text(rows, i, column)); };
      wallet_ = text(rows, i, 0);
      const State& state = wallets_[wallet_];
      const Micros spendable = state.model.spendable(now_);
      check("BalanceIsTheSumOfEntries", number(1) == number(5), "balance and entries differ");
      check("GrantsAreSpendablePlusHeld", number(1) == number(9), "balance and lots differ");
      check("NothingIsNegative",
            text(rows, i, 8) != "t" && text(rows, i, 10) != "t" && number(3) >= 0 && number(1) >= 0,
            "something is negative");
      check("TheChainOfEntriesHasNoGap", number(2) == number(6) && number(2) == number(7),
            "entries are missing");
      check("TheModelAgreesAfterEveryStep", number(3) == spendable,
            "spendable in " + wallet_ + " is " + text(rows, i, 3) + ", expected " +
                std::to_string(spendable));
      if (!state.settled) continue;
      check(
          "TheModelAgreesAfterEveryStep",
          text(rows, i, 4) == lots_of(state.model) && number(1) == state.model.balance,
          "lots of " + wallet_ + " are " + text(rows, i, 4) + ", expected " + lots_of(state.model));
      check("GrantsAreSpendablePlusHeld", number(9) == number(3) + number(11),
            "lots are not what can be spent and what is held");
      check("ExpiryNeverTakesHeldCredits", number(11) == state.model.held(),
            "held is " + text(rows, i, 11) + ", expected " + std::to_string(state.model.held()));
    }
  }

  // The whole ledger, entry by entry, and what became of every credit that was ever given.
  void check_ledger() {
    for (auto& [name, state] : wallets_) {
      if (!state.settled) continue;
      std::string expected;
      Micros granted = 0, charged = 0, refunded = 0, expired = 0;
      for (const ModelEntry& e : state.model.entries) {
        expected += (expected.empty() ? "" : "\n") + std::to_string(e.no) + "|" +
                    (e.debit ? "DEBIT" : "CREDIT") + "|" + e.reason + "|" +
                    std::to_string(e.amount) + "|" + std::to_string(e.balance_after) + "|" +
                    to_string(e.parts) + "|" + std::to_string(e.effective) + "|" + e.id + "|" +
                    (e.refund_of == 0 ? "" : std::to_string(e.refund_of)) + "|" + e.hold;
        (e.reason == "grant"     ? granted
         : e.reason == "refund"  ? refunded
         : e.reason == "expired" ? expired
                                 : charged) += e.amount;
      }
      const std::string stored = told_by(session_.attempt(
          "SELECT entry_no, direction, reason, trunc(amount * 1000000), trunc(balance_after * "
          "1000000), " +
          parts_of("allocations") +
          ", extract(epoch FROM effective_at - '2026-01-01 00:00Z')::bigint / 3600, "
          "correlation_id, refund_of, hold_id FROM purser.ledger"
          " WHERE account_id = " +
          literal(account_) + " AND wallet = " + literal(name) + " ORDER BY entry_no"));
      check("TheModelAgreesAfterEveryStep", stored == expected,
            "the ledger is\n" + stored + "\nexpected\n" + expected);
      check("CreditsAreConserved",
            granted - charged + refunded - expired == state.model.balance &&
                only(session_.run("SELECT coalesce(sum(CASE WHEN reason IN ('grant', 'refund') "
                                  "THEN amount ELSE -amount END) * 1000000, 0)::bigint"
                                  "  FROM purser.ledger WHERE account_id = " +
                                  literal(account_) + " AND wallet = " + literal(name))) ==
                    std::to_string(state.model.balance),
            "what was granted is not what is there, was used or expired");
    }
  }

  void check_invoices() {
    for (auto& [name, state] : wallets_)
      for (int resource = 1; resource <= resources; ++resource) {
        Micros charged = 0, refunded = 0;
        for (const ModelEntry& e : state.model.entries)
          if (e.resource == resource) (e.debit ? charged : refunded) += e.amount;
        const std::string told = told_by(session_.attempt(
            "SELECT trunc((i ->> 'charged')::numeric * 1000000), trunc((i ->> 'refunded')::numeric "
            "* 1000000), trunc((i ->> 'net')::numeric * 1000000)"
            "  FROM purser.invoice(" +
            literal(account_) + ", 'job', 'j" + std::to_string(resource) + "', " + literal(name) +
            ") AS i"));
        const std::string wanted = charged == 0
                                       ? "||"
                                       : std::to_string(charged) + "|" + std::to_string(refunded) +
                                             "|" + std::to_string(charged - refunded);
        check("InvoiceIsTheSumOfItsCharges", told == wanted,
              "invoice says " + told + ", expected " + wanted);
      }
  }

  void check_past() {
    for (auto& [name, state] : wallets_)
      for (const auto& [hour, spendable] : state.model.spendable_then) {
        if (hour == 0 || !percent(20)) continue;
        const std::string told =
            only(session_.run("SELECT trunc(purser.credit_balance(" + literal(account_) + ", " +
                              literal(name) + ", " + instant(hour) + ") * 1000000)"));
        check("TheBalanceOfThePastIsWhatItWas", told == std::to_string(spendable),
              "balance of " + name + " at hour " + std::to_string(hour) + " is " + told + ", was " +
                  std::to_string(spendable));
      }
  }

  std::string account_;
  std::mt19937 source_;
  Session& session_;
  Findings& findings_;
  std::map<std::string, State> wallets_;
  std::vector<ModelHold> holds_;
  std::vector<Made> made_;
  std::string wallet_, refused_id_, refused_wallet_;
  Hour now_ = 0;
  int ids_ = 0;
  bool active_ = true;
};

int histories_asked_for() {
  const char* asked = std::getenv("PURSER_TEST_HISTORIES");
  return asked == nullptr ? 1000 : std::atoi(asked);
}

}  // namespace

class Invariants : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    findings = std::make_unique<Findings>();
    const unsigned first = seed();
    const std::string run = "history-" + std::to_string(first) + "-";
    const int histories = histories_asked_for() + long_histories;
    Session session;
    session.run(
        "CREATE OR REPLACE FUNCTION purser_test_hour(at timestamptz) RETURNS bigint LANGUAGE sql "
        "RETURN"
        " CASE WHEN isfinite(at) THEN extract(epoch FROM at - '2026-01-01 00:00Z')::bigint / 3600 "
        "ELSE " +
        std::to_string(never) + " END");
    std::atomic<int> next{0};
    crowd(sessions, "SET timezone = 'UTC'", [&](int, Session& own) {
      for (int i = next++; i < histories && !findings->any_broken(); i = next++)
        History(run + std::to_string(i), first + static_cast<unsigned>(i), own, *findings)
            .run(i < long_histories ? steps_of_long : steps_of_short);
    });
    for (const char* check : {"reconcile", "verify_ledger"}) {
      const auto rows = session.run("SELECT path, rule, message FROM purser." + std::string(check) +
                                    "() WHERE path LIKE 'history-%'");
      findings->check(
          "ReconcileAndVerifyFindNothing", rows.empty(),
          rows.empty() ? "" : text(rows, 0, 0) + " " + text(rows, 0, 1) + " " + text(rows, 0, 2));
    }
  }
  static void TearDownTestSuite() { findings.reset(); }

  static std::unique_ptr<Findings> findings;
};
std::unique_ptr<Findings> Invariants::findings;

#define INVARIANT(name)      \
  TEST_F(Invariants, name) { \
    findings->expect(#name); \
  }

INVARIANT(TheModelAgreesAfterEveryStep)
INVARIANT(BalanceIsTheSumOfEntries)
INVARIANT(GrantsAreSpendablePlusHeld)
INVARIANT(NothingIsNegative)
INVARIANT(CreditsAreConserved)
INVARIANT(TheChainOfEntriesHasNoGap)
INVARIANT(DebitOrderIsKept)
INVARIANT(ReplayReturnsTheSameEntry)
INVARIANT(SameKeyWithAnotherPayloadIsRefusedWithoutEffect)
INVARIANT(ARejectedKeyIsDecidedAnew)
INVARIANT(ARejectionLeavesTheStateIdentical)
INVARIANT(HoldReducesSpendable)
INVARIANT(RemainderOfACaptureReturnsToItsOwnGrants)
INVARIANT(HoldResolvesOnce)
INVARIANT(ExpiryNeverTakesHeldCredits)
INVARIANT(RefundsNeverExceedTheCharge)
INVARIANT(RefundRestoresTheExactGrants)
INVARIANT(InvoiceIsTheSumOfItsCharges)
INVARIANT(TheBalanceOfThePastIsWhatItWas)
INVARIANT(ReconcileAndVerifyFindNothing)

#undef INVARIANT

}  // namespace purser::test
