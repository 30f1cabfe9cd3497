// A bank-style run: random grants, charges and refunds on a few wallets by many connections, each
// in one transaction with the application's own row, while readers check at every read that the
// books balance (CRD-2, CRD-6, LED-1, and the ledger's invariants).
//
// Every grant and every charge of a wallet has a power of two of its own, so that a balance says
// exactly which of them are in force. The run is made from a seed (PURSER_TEST_SEED).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "test/concurrency/session.hpp"

namespace purser::test {

namespace {

constexpr int rounds = 6;
constexpr int wallets = 12;  // of one round
constexpr int slots = 44;    // powers of two of one wallet
constexpr int workers = 10;

using Micros = std::int64_t;

Micros value_of(int slot) {
  return Micros{1} << slot;
}

std::string decimal(Micros micros) {
  const std::string fraction = std::to_string(micros % 1'000'000 + 1'000'000);
  return std::to_string(micros / 1'000'000) + "." + fraction.substr(1);
}

enum class Act { grant, charge };

// One slot of one wallet, and what is to be done with it.
struct Operation {
  std::string account;
  int slot = 0;
  Act act = Act::grant;
  std::string kind;
  bool rolled_back = false;  // the caller changes its mind
  bool sent_twice = false;   // the answer was lost, say: the same request again
  bool refunded = false;

  std::string id() const { return "slot-" + std::to_string(slot); }
  std::string refund_id() const { return "refund-" + id(); }
};

class Chance {
 public:
  explicit Chance(std::mt19937& source) : source_(source) {}
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(source_); }
  bool percent(int p) { return below(100) < p; }

 private:
  std::mt19937& source_;
};

std::vector<Operation> random_operations(int round, std::mt19937& source) {
  static constexpr const char* kinds[] = {"monthly", "rollover",   "promotional",
                                          "refund",  "adjustment", "purchased"};
  Chance chance(source);
  std::vector<Operation> operations;
  for (int wallet = 0; wallet < wallets; ++wallet)
    for (int slot = 0; slot < slots; ++slot) {
      Operation o;
      o.account = "bank-" + std::to_string(round) + "-" + std::to_string(wallet);
      o.slot = slot;
      o.act = chance.percent(55) ? Act::grant : Act::charge;
      o.kind = kinds[chance.below(6)];
      o.rolled_back = chance.percent(10);
      o.sent_twice = chance.percent(25);
      o.refunded = chance.percent(40);
      operations.push_back(o);
    }
  std::shuffle(operations.begin(), operations.end(), source);
  return operations;
}

// Carries operations out and remembers, from the answers alone, what must be in force.
class Customers {
 public:
  explicit Customers(std::vector<Operation> operations) : operations_(std::move(operations)) {}

  void work(Session& session) {
    for (std::size_t next = next_++; next < operations_.size(); next = next_++)
      carry_out(operations_[next], session);
  }

  int refused() const { return refused_; }
  int replayed() const { return replayed_; }

  // Per account: correlation id and what it did to the balance.
  const std::map<std::string, std::map<std::string, Micros>>& in_force() const { return in_force_; }

 private:
  void carry_out(const Operation& o, Session& session) {
    const Micros value = value_of(o.slot);
    const Micros effect = o.act == Act::grant ? value : -value;
    if (!transact(o, session, first_call(o), o.id(), effect)) return;
    if (o.sent_twice) resend(session, first_call(o));
    if (o.act != Act::charge || !o.refunded) return;
    const std::string refund = refund_call(o);
    transact(o, session, refund, o.refund_id(), value);
    if (o.sent_twice) resend(session, refund);
  }

  std::string first_call(const Operation& o) const {
    const std::string head = o.act == Act::grant ? "grant_credits" : "charge_credits";
    return "SELECT replayed, entry_id FROM purser." + head + "('" + o.account + "', " +
           decimal(value_of(o.slot)) + ", '" + (o.act == Act::grant ? o.kind : "work") + "', '" +
           o.id() + "')";
  }

  std::string refund_call(const Operation& o) const {
    return "SELECT replayed, entry_id FROM purser.refund_credits('" + o.account +
           "', (SELECT entry_id FROM purser.ledger_entries WHERE account_id = '" + o.account +
           "' AND correlation_id = '" + o.id() + "'), NULL, 'failed', '" + o.refund_id() + "')";
  }

  // The call and the application's own row, all or nothing. True when they are in force.
  bool transact(const Operation& o, Session& session, const std::string& call,
                const std::string& id, Micros effect) {
    session.run("BEGIN");
    const Outcome outcome = session.attempt(call);
    if (!outcome.ok()) {
      session.run("ROLLBACK");
      EXPECT_EQ(outcome.sqlstate, "PU002") << outcome.message;
      ++refused_;
      return false;
    }
    EXPECT_EQ(text(outcome.rows, 0, 0), "f") << "nobody used " << id << " before";
    session.run("INSERT INTO tally VALUES ('" + o.account + "', '" + id + "', " +
                std::to_string(effect) + ")");
    if (o.rolled_back && id == o.id()) {
      session.run("ROLLBACK");
      return false;
    }
    session.run("COMMIT");
    const std::lock_guard lock(mutex_);
    in_force_[o.account][id] = effect;
    return true;
  }

  void resend(Session& session, const std::string& call) {
    EXPECT_EQ(text(session.run(call), 0, 0), "t") << "a retry was not recognised: " << call;
    ++replayed_;
  }

  std::vector<Operation> operations_;
  std::atomic<std::size_t> next_{0};
  std::atomic<int> refused_{0}, replayed_{0};
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, Micros>> in_force_;
};

// One statement is one snapshot: whatever the writers do, it must find no row.
constexpr char what_does_not_balance[] =
    "SELECT w.account_id, w.balance_micros, lots.total AS lots, entries.total AS ledger,"
    "       tally.total AS application, granted.total AS granted"
    "  FROM purser.wallet AS w,"
    "  LATERAL (SELECT coalesce(sum(l.remaining_micros + l.held_micros), 0) AS total,"
    "                  coalesce(min(LEAST(l.remaining_micros, l.held_micros)), 0) AS least"
    "             FROM purser._lots AS l"
    "            WHERE l.account_id = w.account_id AND l.wallet = w.wallet) AS lots,"
    "  LATERAL (SELECT coalesce(sum(CASE l.direction WHEN 'CREDIT' THEN l.amount"
    "                                ELSE -l.amount END), 0) * 1000000 AS total,"
    "                  coalesce(sum(CASE WHEN l.direction = 'DEBIT' THEN -l.amount"
    "                                    WHEN l.refund_of IS NOT NULL THEN l.amount"
    "                                END), 0) * 1000000 AS moved,"
    "                  count(*) AS entries, max(l.entry_no) AS last, min(l.balance_after) AS least"
    "             FROM purser.ledger AS l"
    "            WHERE l.account_id = w.account_id AND l.wallet = w.wallet) AS entries,"
    "  LATERAL (SELECT coalesce(sum(t.effect), 0) AS total"
    "             FROM tally AS t WHERE t.account_id = w.account_id) AS tally,"
    "  LATERAL (SELECT coalesce(sum(g.amount), 0) * 1000000 AS total"
    "             FROM purser.credit_grant AS g"
    "            WHERE g.account_id = w.account_id AND g.wallet = w.wallet) AS granted"
    " WHERE w.account_id LIKE 'bank-%'"
    "   AND NOT (w.balance_micros = lots.total"
    "            AND w.balance_micros = entries.total"
    "            AND w.balance_micros = tally.total"
    "            AND w.balance_micros = granted.total + entries.moved"
    "            AND lots.least >= 0 AND coalesce(entries.least, 0) >= 0"
    "            AND w.last_entry_no = entries.entries"
    "            AND w.last_entry_no = coalesce(entries.last, 0))";

constexpr char what_was_refunded_too_much[] =
    "SELECT c.account_id, c.correlation_id FROM purser.ledger AS c"
    " WHERE c.account_id LIKE 'bank-%' AND c.direction = 'DEBIT'"
    "   AND c.amount < (SELECT sum(r.amount) FROM purser.ledger AS r"
    "                    WHERE r.account_id = c.account_id AND r.wallet = c.wallet"
    "                      AND r.refund_of = c.entry_no)";

void expect_no_row(Session& session, const std::string& sql) {
  const auto rows = session.run(sql);
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    std::string row;
    for (int column = 0; column < static_cast<int>(rows.columns()); ++column)
      row += std::string(rows.column_name(static_cast<pqxx::row::size_type>(column))) + " " +
             text(rows, i, column) + "; ";
    ADD_FAILURE() << row;
  }
}

int audit_until(const std::atomic<bool>& stop, Session& session) {
  int reads = 0;
  for (; !stop && !testing::Test::HasFailure(); ++reads) {
    expect_no_row(session, what_does_not_balance);
    if (reads % 4 == 0) expect_no_row(session, what_was_refunded_too_much);
    if (reads % 8 == 0) expect_no_row(session, "SELECT * FROM purser.verify_ledger()");
    if (reads % 8 == 4) expect_no_row(session, "SELECT * FROM purser.reconcile()");
  }
  return reads;
}

// The final balance, read bit by bit: the powers of two of the charges that are not in force, and
// of the grants that are.
void expect_balance_says(const std::string& account, const std::map<std::string, Micros>& in_force,
                         Session& session) {
  Micros expected = 0;
  for (const auto& [id, effect] : in_force) expected += effect;
  EXPECT_EQ(only(session.run("SELECT coalesce(sum(balance_micros), 0) FROM purser.wallet"
                             " WHERE account_id = '" +
                             account + "'")),
            std::to_string(expected))
      << account;
}

void expect_entries_are(const std::string& account, const std::map<std::string, Micros>& in_force,
                        Session& session) {
  std::map<std::string, Micros> stored;
  const auto rows = session.run(
      "SELECT correlation_id,"
      "       (CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END * 1000000)::bigint"
      "  FROM purser.ledger WHERE account_id = '" +
      account + "'");
  for (int i = 0; i < static_cast<int>(rows.size()); ++i)
    EXPECT_TRUE(stored.emplace(text(rows, i, 0), std::stoll(text(rows, i, 1))).second)
        << account << " has two entries " << text(rows, i, 0);
  EXPECT_EQ(stored, in_force) << account;
}

// The ledger of one wallet told again in the order of its numbers, by rules written here: each
// charge must have taken from the grants in debit order, each refund must have given back what
// its charge took.
class Retelling {
 public:
  explicit Retelling(std::string account) : account_(std::move(account)) {}

  void tell(Session& session) {
    read_grants(session);
    const auto rows = session.run(
        "SELECT l.entry_no, l.direction, coalesce(l.refund_of, 0),"
        "       (a.value ->> 'grant_id')::bigint,"
        "       ((a.value ->> 'amount')::numeric * 1000000)::bigint"
        "  FROM purser.ledger AS l,"
        "       jsonb_array_elements(l.allocations) WITH ORDINALITY AS a"
        " WHERE l.account_id = '" +
        account_ + "' ORDER BY l.entry_no, a.ordinality");
    for (int i = 0; i < static_cast<int>(rows.size());) {
      const std::string entry = text(rows, i, 0);
      const bool debit = text(rows, i, 1) == "DEBIT";
      const long refund_of = std::stol(text(rows, i, 2));
      Parts parts;
      for (; i < static_cast<int>(rows.size()) && text(rows, i, 0) == entry; ++i)
        parts.emplace_back(std::stol(text(rows, i, 3)), std::stoll(text(rows, i, 4)));
      apply(std::stol(entry), debit, refund_of, parts);
    }
    expect_lots(session);
  }

 private:
  using Parts = std::vector<std::pair<long, Micros>>;  // grant and amount, in order

  void read_grants(Session& session) {
    const auto rows = session.run(
        "SELECT grant_id, priority FROM purser.credit_grant"
        " WHERE account_id = '" +
        account_ + "'");
    for (int i = 0; i < static_cast<int>(rows.size()); ++i)
      priority_[std::stol(text(rows, i, 0))] = std::stoi(text(rows, i, 1));
  }

  void apply(long entry, bool debit, long refund_of, const Parts& parts) {
    if (debit) {
      EXPECT_EQ(parts, debit_order(total(parts)))
          << account_ << " entry " << entry << " did not debit in order";
      for (const auto& [grant, amount] : parts) remaining_[grant] -= amount;
      charges_[entry] = parts;
      return;
    }
    if (refund_of != 0) {
      EXPECT_EQ(by_grant(parts), by_grant(charges_[refund_of]))
          << account_ << " entry " << entry << " gave back to other grants";
    }
    for (const auto& [grant, amount] : parts) remaining_[grant] += amount;
  }

  static std::map<long, Micros> by_grant(const Parts& parts) {
    return {parts.begin(), parts.end()};
  }

  static Micros total(const Parts& parts) {
    Micros sum = 0;
    for (const auto& part : parts) sum += part.second;
    return sum;
  }

  // No grant of these expires, so: smallest priority first, then the oldest.
  Parts debit_order(Micros amount) const {
    std::vector<std::tuple<int, long, Micros>> lots;
    for (const auto& [grant, left] : remaining_)
      if (left > 0) lots.emplace_back(priority_.at(grant), grant, left);
    std::sort(lots.begin(), lots.end());
    Parts parts;
    for (const auto& [priority, grant, left] : lots) {
      if (amount == 0) break;
      const Micros part = std::min(amount, left);
      parts.emplace_back(grant, part);
      amount -= part;
    }
    return parts;
  }

  void expect_lots(Session& session) {
    std::map<long, Micros> expected;
    for (const auto& [grant, left] : remaining_)
      if (left != 0) expected[grant] = left;
    std::map<long, Micros> stored;
    const auto rows = session.run(
        "SELECT grant_id, (remaining * 1000000)::bigint FROM purser.grants"
        " WHERE remaining <> 0 AND account_id = '" +
        account_ + "'");
    for (int i = 0; i < static_cast<int>(rows.size()); ++i)
      stored[std::stol(text(rows, i, 0))] = std::stoll(text(rows, i, 1));
    EXPECT_EQ(stored, expected) << account_;
  }

  std::string account_;
  std::map<long, int> priority_;
  std::map<long, Micros> remaining_;
  std::map<long, Parts> charges_;
};

void expect_as_told(const Customers& customers, Session& session) {
  for (const auto& [account, in_force] : customers.in_force()) {
    expect_balance_says(account, in_force, session);
    expect_entries_are(account, in_force, session);
    Retelling(account).tell(session);
  }
}

}  // namespace

TEST(Bank, BooksBalanceAtEveryReadAndEndAsTheAnswersSaid) {
  std::mt19937 source(seed());
  Session session;
  session.run("DROP TABLE IF EXISTS tally");
  session.run(
      "CREATE TABLE tally (account_id text, id text, effect bigint,"
      " PRIMARY KEY (account_id, id))");
  std::atomic<int> reads{0};
  Companion auditor([&](const std::atomic<bool>& stop) {
    Session reader;
    reads += audit_until(stop, reader);
  });
  int refused = 0, replayed = 0;
  for (int round = 0; round < rounds; ++round) {
    Customers customers(random_operations(round, source));
    crowd(workers, {}, [&](int, Session& worker) { customers.work(worker); });
    refused += customers.refused();
    replayed += customers.replayed();
    expect_as_told(customers, session);
  }
  auditor.finish(true);
  expect_no_row(session, what_does_not_balance);
  expect_no_row(session, what_was_refunded_too_much);
  expect_no_row(session, "SELECT * FROM purser.verify_ledger()");
  EXPECT_GT(reads, 10) << "the auditor looked while the customers worked";
  EXPECT_GT(refused, 0) << "some charges were too much";
  EXPECT_GT(replayed, 0) << "some requests came twice";
}

}  // namespace purser::test
