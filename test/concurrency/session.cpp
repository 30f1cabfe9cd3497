// Connections of the tests, on libpqxx 6.4 and 7.
#include "test/concurrency/session.hpp"

#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>

namespace purser::test {

namespace {

// The server said goodbye (57P01 to 57P03), or the connection is gone (class 08).
bool means_lost(const std::string& sqlstate) {
  return sqlstate.starts_with("57P") || sqlstate.starts_with("08");
}

}  // namespace

Session::Session(const std::string& name)
    : connection_(std::make_unique<pqxx::connection>("application_name='" + name + "'")) {
#if PQXX_VERSION_MAJOR < 7
  // A session that reconnects by itself would forget its transaction without a word.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection_->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
  backend_pid_ = connection_->backendpid();
}

Outcome Session::attempt(const std::string& sql) {
  try {
    pqxx::nontransaction statement(*connection_);
    return {statement.exec(sql), {}, {}};
  } catch (const pqxx::serialization_failure& error) {  // not an sql_error in libpqxx 6
    return {{}, "40001", error.what()};
  } catch (const pqxx::deadlock_detected& error) {
    return {{}, "40P01", error.what()};
  } catch (const pqxx::sql_error& error) {
    const bool lost = means_lost(error.sqlstate()) || error.sqlstate().empty();
    return {{}, lost ? "lost" : error.sqlstate(), error.what()};
  } catch (const pqxx::failure& error) {  // broken_connection, in_doubt_error
    return {{}, "lost", error.what()};
  }
}

pqxx::result Session::run(const std::string& sql) {
  Outcome outcome = attempt(sql);
  if (outcome.ok()) return outcome.rows;
  throw std::runtime_error(sql + ": " + outcome.sqlstate + " " + outcome.message);
}

std::string Session::quoted(std::string_view text) {
  return connection_->quote(std::string(text));
}

std::string only(const pqxx::result& rows) {
  return text(rows, 0, 0);
}

std::string text(const pqxx::result& rows, int row, int column) {
  const auto field =
      rows[static_cast<pqxx::result::size_type>(row)][static_cast<pqxx::row::size_type>(column)];
  return field.is_null() ? std::string() : field.c_str();
}

Companion::Companion(std::function<void(const std::atomic<bool>& stop)> act)
    : thread_([this, act = std::move(act)] {
        try {
          act(stop_);
        } catch (...) {
          failure_ = std::current_exception();
        }
        ended_ = true;
      }) {}

Companion::~Companion() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Companion::finish(bool asked) {
  if (asked) stop_ = true;
  thread_.join();
  if (failure_) std::rethrow_exception(failure_);
}

std::vector<Outcome> all_at_once(const std::vector<std::string>& statements,
                                 const std::string& prepare) {
  std::vector<Outcome> outcomes(statements.size());
  crowd(static_cast<int>(statements.size()), prepare, [&](int i, Session& session) {
    const auto self = static_cast<std::size_t>(i);
    outcomes[self] = session.attempt(statements[self]);
  });
  return outcomes;
}

unsigned seed() {
  const char* given = std::getenv("PURSER_TEST_SEED");
  const unsigned value = given == nullptr ? std::random_device{}()
                                          : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
  std::cout << "PURSER_TEST_SEED=" << value << std::endl;
  return value;
}

void publish_test_plan(Session& session) {
  session.run(
      "SELECT purser.declare_features('{"
      "  \"chat\": {\"kind\": \"quota\", \"per\": \"day\"},"
      "  \"minutes\": {\"kind\": \"quota\", \"per\": \"month\"},"
      "  \"exports\": {\"kind\": \"quota\", \"per\": \"lifetime\"},"
      "  \"once\": {\"kind\": \"quota\", \"per\": \"day\"},"
      "  \"batch_units\": {\"kind\": \"quota\", \"per\": \"lifetime\", \"default\": null}}', "
      "'test')");
  session.run(
      "SELECT purser.publish_plan('free', '{\"name\": \"Free\", \"features\": {"
      "  \"chat\": {\"quota\": 50},"
      "  \"minutes\": {\"quota\": 1000},"
      "  \"exports\": {\"quota\": 100},"
      "  \"once\": {\"quota\": 1}}}', 'test', 'for the tests')");
}

}  // namespace purser::test
