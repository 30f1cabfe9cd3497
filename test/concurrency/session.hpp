// One real connection to the server under test, and crowds of them that act at the same moment.
// Written for what libpqxx 6.4 and 7.10 have in common: statements are texts with quoted literals.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace purser::test {

// What became of a statement. An error of the server is an outcome; a lost connection is one too,
// and then nobody knows whether the statement took effect.
struct Outcome {
  pqxx::result rows;
  std::string sqlstate;  // empty when it succeeded, "lost" when the connection is gone
  std::string message;

  bool ok() const { return sqlstate.empty(); }
  bool lost() const { return sqlstate == "lost"; }
};

class Session {
 public:
  // The server and the database are those of libpq's environment.
  explicit Session(const std::string& name = "purser test");

  // Runs one statement, in the transaction begun before it or in one of its own.
  Outcome attempt(const std::string& sql);

  // The same for a statement that must succeed; throws std::runtime_error otherwise.
  pqxx::result run(const std::string& sql);

  std::string quoted(std::string_view text);
  int backend_pid() const { return backend_pid_; }

 private:
  std::unique_ptr<pqxx::connection> connection_;
  int backend_pid_ = 0;
};

// The first column of the first row.
std::string only(const pqxx::result& rows);

// An SQL value as text; "" for NULL.
std::string text(const pqxx::result& rows, int row, int column);

// Opens `sessions` connections, prepares each with `sql`, then runs act(i, session) in as many
// threads, all let go together. The first exception of a thread is thrown here.
template <class Act>
void crowd(int sessions, const std::string& prepare, Act act) {
  std::vector<std::unique_ptr<Session>> connections;
  for (int i = 0; i < sessions; ++i) {
    connections.push_back(std::make_unique<Session>());
    if (!prepare.empty()) connections.back()->run(prepare);
  }
  std::latch start(sessions);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(sessions));
  std::vector<std::thread> threads;
  for (int i = 0; i < sessions; ++i)
    threads.emplace_back([&, i] {
      const auto self = static_cast<std::size_t>(i);
      start.arrive_and_wait();
      try {
        act(i, *connections[self]);
      } catch (...) {
        failures[self] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

// Something that goes on beside a crowd, on a thread of its own. It is asked to stop, and waited
// for, when its scope ends in whatever way.
class Companion {
 public:
  explicit Companion(std::function<void(const std::atomic<bool>& stop)> act);
  ~Companion();
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;

  bool ended() const { return ended_; }

  // Waits for it, after asking it to stop when `asked`; throws what it threw.
  void finish(bool asked);

 private:
  std::atomic<bool> stop_{false}, ended_{false};
  std::exception_ptr failure_;
  std::thread thread_;
};

// The answers of a crowd whose every member runs one statement.
std::vector<Outcome> all_at_once(const std::vector<std::string>& statements,
                                 const std::string& prepare = {});

// PURSER_TEST_SEED, or a new one; printed, so that a failure can be run again.
unsigned seed();

// Declares the features and publishes the plan "free" that the tests count against:
// {"chat": 50 a day, "minutes": 1000 a month, "exports": 100 for ever, "once": 1 a day,
// "batch_units": unlimited}.
void publish_test_plan(Session& session);

}  // namespace purser::test
