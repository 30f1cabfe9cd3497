// SQL-callable functions that fail in every way the border must survive: C++ exceptions and
// PostgreSQL errors below objects that must be destroyed. For test/suites/border.sh; never shipped.
#include <cstdio>
#include <functional>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/statement.hpp"

extern "C" {
#include "commands/trigger.h"
}

using purser::Error;
using purser::pg::Arguments;
using purser::pg::guarded;
using purser::pg::read_text;

_Pragma("GCC visibility push(default)") extern "C" {
  PURSER_MODULE_MAGIC;
}
_Pragma("GCC visibility pop")

    namespace {
  int live_objects = 0;

  // Lives in every frame between the entry and the failure. Its text is too long to be stored in
  // place, so that a skipped destructor is also a leak that a tool can see.
  class Live {
   public:
    Live() { ++live_objects; }
    ~Live() { --live_objects; }
    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;
    std::size_t size() const { return text_.size(); }

   private:
    std::string text_ = std::string(200, 'x');
  };

  // Runs `act` below `frames` frames that each hold an object.
  std::size_t deep(int frames, const std::function<void()>& act) {
    const Live object;
    if (frames == 0) {
      act();
      return object.size();
    }
    return object.size() + deep(frames - 1, act);
  }

  constexpr int frames = 8;

  std::string text_argument(FunctionCallInfo fcinfo, int i) {
    return std::string(read_text(Arguments(fcinfo).datum(i)));
  }

  [[noreturn]] void fail_as(const std::string& how) {
    if (how == "error")
      throw Error(purser::sqlstate::insufficient_credits, "balance 1, required 2",
                  "{\"shortfall\": 1}", "Grant credits first.");
    if (how == "bare error") throw Error(purser::sqlstate::invalid_argument, "argument is bad");
    if (how == "percent") throw Error(purser::sqlstate::invalid_argument, "100% of %s", "%d", "%n");
    if (how == "bad_alloc") throw std::bad_alloc();
    if (how == "no memory")
      throw std::runtime_error(std::string(
          static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max() / 2), 'x'));
    if (how == "runtime_error") throw std::runtime_error("a rule of purser is broken");
    if (how == "unknown") throw 42;
    throw std::logic_error("the test knows no failure \"" + how + "\"");
  }

  void succeed_or_fail_as(const std::string& how) {
    if (how != "success") fail_as(how);
  }

}  // namespace

// live() → integer: objects of failed calls that were not destroyed
PURSER_FUNCTION(border_live) {
  return Int32GetDatum(live_objects);
}

// resident() → bigint: memory of this backend in kB
PURSER_FUNCTION(border_resident) {
  long total = 0, resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return Int64GetDatum(resident * 4);
}

// fail(how) → text: throws at depth, below an open SPI connection
PURSER_FUNCTION(border_fail) {
  const std::string how = text_argument(fcinfo, 0);
  deep(frames, [&] {
    purser::pg::Spi spi;
    deep(frames, [&] { succeed_or_fail_as(how); });
  });
  return purser::pg::text("returned").datum;
}

// run(statement) → bigint: runs it at depth; the rows it made
PURSER_FUNCTION(border_run) {
  const std::string statement = text_argument(fcinfo, 0);
  std::uint64_t rows = 0;
  deep(frames, [&] {
    purser::pg::Spi spi;
    deep(frames, [&] { rows = purser::pg::run_once(statement, {}, {}).processed(); });
  });
  return Int64GetDatum(static_cast<std::int64_t>(rows));
}

// value(statement) → text: its first value, made while the connection is open and returned after it
PURSER_FUNCTION(border_value) {
  const std::string statement = text_argument(fcinfo, 0);
  purser::pg::Spi spi;
  const purser::pg::Rows rows = purser::pg::run_once(statement, {}, {});
  return purser::pg::text(rows[0].text(0)).datum;
}

// kept(amount) → numeric: a kept plan and conversions both ways; an amount of 0 divides by it
PURSER_FUNCTION(border_kept) {
  static purser::pg::Statement statement{"SELECT 1 OPERATOR(pg_catalog./) $1", {NUMERICOID}};
  const purser::Amount amount = purser::pg::read_numeric(Arguments(fcinfo).datum(0));
  purser::Amount result;
  deep(frames, [&] {
    purser::pg::Spi spi;
    const purser::pg::Rows rows = statement.run({purser::pg::numeric(amount)});
    result = purser::Amount::parse("0.000001");
    if (rows.empty()) throw std::logic_error("no row");
  });
  return purser::pg::numeric(result).datum;
}

// guard_restores() → boolean: raises below a guard and looks whether the guard left the server's
// own state as it was; then lets the error go on.
PURSER_FUNCTION(border_guard_restores) {
  const Live object;
  sigjmp_buf* const exceptions = PG_exception_stack;
  ErrorContextCallback* const callbacks = error_context_stack;
  const MemoryContext context = CurrentMemoryContext;
  try {
    guarded([] {
      ErrorContextCallback inner{error_context_stack, [](void*) { errcontext("inner"); }, nullptr};
      error_context_stack = &inner;
      MemoryContextSwitchTo(TopMemoryContext);
      ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("raised below the guard")));
    });
  } catch (const purser::pg::PgError&) {
    if (PG_exception_stack != exceptions) throw std::logic_error("the exception stack is lost");
    if (error_context_stack != callbacks) throw std::logic_error("the context stack is lost");
    if (CurrentMemoryContext != context) throw std::logic_error("the memory context is lost");
    throw;
  }
  return BoolGetDatum(false);
}

// throw_in_guard() → void: a C++ exception where only a jump was expected
PURSER_FUNCTION(border_throw_in_guard) {
  const Live object;
  guarded([] { fail_as("error"); });
  return 0;
}

// sleep(seconds) → void: waits below a guard, without SQL in between
PURSER_FUNCTION(border_sleep) {
  const Datum seconds = Arguments(fcinfo).datum(0);
  deep(frames, [&] { guarded([&] { DirectFunctionCall1(pg_sleep, seconds); }); });
  return 0;
}

// rows(n, fail_after) → setof border.pair
PURSER_FUNCTION(border_rows) {
  const int n = purser::pg::read_int4(Arguments(fcinfo).datum(0));
  const int fail_after = purser::pg::read_int4(Arguments(fcinfo).datum(1));
  purser::pg::RowSet result(fcinfo);
  const Live object;
  for (int i = 0; i < n; ++i) {
    if (i == fail_after) fail_as("error");
    result.add({purser::pg::int4(i), purser::pg::text("row " + std::to_string(i))});
  }
  return 0;
}

// pair(n, name) → border.pair: one composite row
PURSER_FUNCTION(border_pair) {
  const int n = purser::pg::read_int4(Arguments(fcinfo).datum(0));
  if (n < 0) fail_as("error");
  return purser::pg::composite(fcinfo,
                               {purser::pg::int4(n), purser::pg::text(text_argument(fcinfo, 1))});
}

// A trigger that fails as its argument says.
PURSER_FUNCTION(border_trigger) {
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  const std::string how = trigger->tg_trigger->tgargs[0];
  deep(frames, [&] { succeed_or_fail_as(how); });
  return PointerGetDatum(trigger->tg_trigtuple);
}

// Callbacks of the server ------------------------------------------------------------------------

namespace {

std::string fail_at_commit;

void before_commit(XactEvent event, void*) {
  if (event != XACT_EVENT_PRE_COMMIT || fail_at_commit.empty()) return;
  purser::pg::enter_callback(
      [](void*) {
        const std::string how = std::exchange(fail_at_commit, std::string());
        deep(frames, [&] {
          if (how == "sql error")
            guarded([] {
              ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("raised in a callback"),
                              errdetail("A detail."), errhint("A hint.")));
            });
          fail_as(how);
        });
      },
      nullptr);
}

}  // namespace

// fail_at_commit(how) → void: the transaction's own commit callback fails
PURSER_FUNCTION(border_fail_at_commit) {
  static bool registered = false;
  if (!registered) guarded([] { RegisterXactCallback(before_commit, nullptr); });
  registered = true;
  fail_at_commit = text_argument(fcinfo, 0);
  return 0;
}
