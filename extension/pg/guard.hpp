// The border between two ways of failing: PostgreSQL jumps (longjmp), C++ throws.
//
// Downwards, guarded() runs PostgreSQL calls and turns a jump into a thrown PgError, which keeps
// every field of the error. Upwards, PURSER_FUNCTION wraps an SQL-callable body: whatever it throws
// is caught, the catch block is left, and only then the error is reported to PostgreSQL. A thrown
// PgError is never swallowed: without a subtransaction the session could not go on from it.
#pragma once

#include <type_traits>

#include "extension/pg/postgres.hpp"

namespace purser::pg {

// A PostgreSQL error on its way through C++ frames. The copy of the error lives in the memory
// context that was current where the guard stood.
struct PgError {
  ErrorData* error;
};

// Runs `call(argument)`; throws PgError when PostgreSQL raises an error.
void run_guarded(void (*call)(void*), void* argument);

// Runs a callable that makes PostgreSQL calls. It is left by a jump when they fail, so it may hold
// no local with a destructor; every C++ object it uses must live outside of it. Guard a batch of
// calls rather than each.
template <class Call>
auto guarded(Call&& call) {
  using Body = std::remove_reference_t<Call>;
  using Result = std::invoke_result_t<Body&>;
  if constexpr (std::is_void_v<Result>) {
    run_guarded([](void* body) { (*static_cast<Body*>(body))(); },
                const_cast<void*>(static_cast<const void*>(&call)));
  } else {
    static_assert(std::is_trivially_copyable_v<Result>, "a jump would skip its destructor");
    struct Frame {
      Body* body;
      Result result;
    } frame{&call, Result{}};
    run_guarded(
        [](void* argument) {
          auto* f = static_cast<Frame*>(argument);
          f->result = (*f->body)();
        },
        &frame);
    return frame.result;
  }
}

// Lets a cancellation or a termination through, where many turns may be taken without a call of
// PostgreSQL.
void check_for_interrupts();

using Body = Datum (*)(FunctionCallInfo);

// Runs the body of an SQL-callable function and reports what it throws.
Datum enter(FunctionCallInfo fcinfo, Body body);

// Runs a callback of the server (hook, invalidation, transaction end) and reports what it throws.
void enter_callback(void (*body)(void*), void* argument);

}  // namespace purser::pg

// Defines an SQL-callable function. PostgreSQL before 16 does not mark what it exports.
#define PURSER_FUNCTION(name)                          \
  static Datum name##_body(FunctionCallInfo fcinfo);   \
  _Pragma("GCC visibility push(default)") extern "C" { \
    PG_FUNCTION_INFO_V1(name);                         \
    Datum name(FunctionCallInfo fcinfo) {              \
      return purser::pg::enter(fcinfo, name##_body);   \
    }                                                  \
  }                                                    \
  _Pragma("GCC visibility pop") static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
