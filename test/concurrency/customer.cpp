// Work that outlives its server. Every call of a request is idempotent by the request's id.
// Locks, by calling purser: one entitlement, then one wallet.
#include "test/concurrency/customer.hpp"

#include <chrono>
#include <thread>

namespace purser::test {

const char what_is_half_done[] =
    "SELECT coalesce(w.id, l.correlation_id) AS id, w.id IS NULL AS not_in_the_application,"
    "       l.correlation_id IS NULL AS not_in_the_ledger"
    "  FROM work_item AS w"
    "  FULL JOIN (SELECT * FROM purser.ledger WHERE direction = 'DEBIT'"
    "                AND account_id LIKE 'worker-%') AS l"
    "    ON l.account_id = w.account_id AND l.correlation_id = w.id"
    " WHERE w.id IS NULL OR l.correlation_id IS NULL"
    " UNION ALL "
    "SELECT e.account_id || ' used ' || e.used || ', made ' || count(w.id), NULL, NULL"
    "  FROM purser.entitlement AS e"
    "  LEFT JOIN work_item AS w ON w.account_id = e.account_id"
    " WHERE e.account_id LIKE 'worker-%'"
    " GROUP BY e.account_id, e.used"
    " HAVING e.used <> count(w.id)";

void Customer::prepare(Session& session) {
  session.run(
      "SELECT purser.declare_features('{\"work_items\": {\"kind\": \"quota\", \"per\":"
      " \"lifetime\"}}', 'test')");
  session.run(
      "SELECT purser.publish_plan('free', '{\"name\": \"Free\", \"features\": {\"work_items\":"
      " {\"quota\": 100000000}}}', 'test', 'for the tests')");
  session.run("CREATE TABLE work_item (account_id text, id text, PRIMARY KEY (account_id, id))");
}

void Customer::work(const std::function<bool()>& stop) {
  for (int i = 0; !stop() && complaint_.empty(); ++i) {
    const std::string id = name_ + "/" + std::to_string(i);
    attempted_.insert(id);
    while (!request(id) && complaint_.empty()) {
      ++lost_;
      if (stop()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    if (complaint_.empty()) acknowledged_.insert(id);
  }
}

// False when the connection was lost on the way: then nobody knows whether it committed, and the
// same request is sent again.
bool Customer::request(const std::string& id) {
  const std::string of = "('" + account_ + "', ";
  return connect() && step("BEGIN") &&
         step("SELECT purser.check_and_increment" + of + "'work_items', 1, '" + id + "')") &&
         pay(id) &&
         step("INSERT INTO work_item VALUES " + of + "'" + id + "') ON CONFLICT DO NOTHING") &&
         step("COMMIT");
}

// Every other request holds first what the work may cost, and captures what it did.
bool Customer::pay(const std::string& id) {
  const std::string of = "('" + account_ + "', ";
  if (id.back() % 2 == 0)
    return step("SELECT purser.charge_credits" + of + "0.000001, 'work', '" + id + "')");
  return step("SELECT purser.hold_credits" + of + "0.000002, 'work', '1 hour', '" + id + "')") &&
         step("SELECT purser.capture_credits" + of + "'" + id + "', 0.000001, '" + id + "')");
}

bool Customer::step(const std::string& sql) {
  const Outcome outcome = session_->attempt(sql);
  if (!outcome.ok() && !outcome.lost()) complaint_ = outcome.sqlstate + " " + outcome.message;
  if (!outcome.ok()) session_.reset();
  return outcome.ok();
}

bool Customer::connect() {
  if (session_ != nullptr) return true;
  try {
    session_ = std::make_unique<Session>("purser customer");
  } catch (const std::exception&) {  // nobody there, or not yet
  }
  return session_ != nullptr;
}

}  // namespace purser::test
