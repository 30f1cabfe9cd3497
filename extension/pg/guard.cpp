// Jumps into throws, throws into reports. See guard.hpp for the rules of the border.
#include <cstring>
#include <exception>
#include <new>

#include "core/error.hpp"
#include "extension/pg/guard.hpp"

extern "C" {
#include "miscadmin.h"
}

namespace purser::pg {

namespace {

// What is left of an exception once its catch block is closed: plain data, no destructor.
struct Report {
  ErrorData* error = nullptr;  // PostgreSQL's own error, raised again as it was
  int code = ERRCODE_INTERNAL_ERROR;
  const char* message = nullptr;
  const char* detail = nullptr;
  const char* hint = nullptr;
};

constexpr char no_memory_for_report[] = "out of memory while reporting an error";

// Copies without raising an error: this runs inside a catch block.
const char* copy_text(const char* text) {
  const std::size_t size = std::strlen(text) + 1;
  void* copy = MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_NO_OOM);
  if (copy == nullptr) return no_memory_for_report;
  return static_cast<const char*>(std::memcpy(copy, text, size));
}

const char* copy_text_or_null(const std::string& text) {
  return text.empty() ? nullptr : copy_text(text.c_str());
}

Report describe(const Error& error) {
  return {nullptr,
          MAKE_SQLSTATE(error.code[0], error.code[1], error.code[2], error.code[3], error.code[4]),
          copy_text(error.message.c_str()), copy_text_or_null(error.detail),
          copy_text_or_null(error.hint)};
}

Report out_of_memory() {
  return {nullptr, ERRCODE_OUT_OF_MEMORY, "out of memory", nullptr, nullptr};
}

Report internal_error(const char* what) {
  return {nullptr, ERRCODE_INTERNAL_ERROR, copy_text(what), "This is a defect in purser.",
          "Please report it with the statement that led to it."};
}

// Runs `work` and describes what it throws; an untouched Report means that it returned.
template <class Work>
bool completed(Work&& work, Report& report) {
  try {
    work();
    return true;
  } catch (const PgError& e) {
    report.error = e.error;
  } catch (const Error& e) {
    report = describe(e);
  } catch (const std::bad_alloc&) {
    report = out_of_memory();
  } catch (const std::exception& e) {
    report = internal_error(e.what());
  } catch (...) {
    report = internal_error("unknown C++ exception");
  }
  return false;
}

[[noreturn]] void raise(const Report& report) {
  if (report.error != nullptr) ReThrowError(report.error);
  ereport(ERROR, (errcode(report.code), errmsg_internal("%s", report.message),
                  report.detail != nullptr ? errdetail_internal("%s", report.detail) : 0,
                  report.hint != nullptr ? errhint("%s", report.hint) : 0));
  pg_unreachable();
}

// Copies the error in flight; null when even that fails for want of memory.
ErrorData* copy_error() {
  ErrorData* volatile copy = nullptr;
  sigjmp_buf* const outer = PG_exception_stack;
  sigjmp_buf here;
  if (sigsetjmp(here, 0) == 0) {
    PG_exception_stack = &here;
    copy = CopyErrorData();
  }
  PG_exception_stack = outer;
  FlushErrorState();
  return copy;
}

}  // namespace

void run_guarded(void (*call)(void*), void* argument) {
  sigjmp_buf* const outer = PG_exception_stack;
  ErrorContextCallback* const callbacks = error_context_stack;
  const MemoryContext context = CurrentMemoryContext;
  sigjmp_buf here;
  if (sigsetjmp(here, 0) == 0) {
    PG_exception_stack = &here;
    try {
      call(argument);
    } catch (...) {  // the server must not jump into a frame that is gone
      PG_exception_stack = outer;
      error_context_stack = callbacks;
      throw;
    }
    PG_exception_stack = outer;
    error_context_stack = callbacks;
    return;
  }
  PG_exception_stack = outer;
  error_context_stack = callbacks;
  MemoryContextSwitchTo(context);
  ErrorData* error = copy_error();
  if (error == nullptr) throw std::bad_alloc();
  throw PgError{error};
}

Datum enter(FunctionCallInfo fcinfo, Body body) {
  Report report;
  Datum result = 0;
  if (completed([&] { result = body(fcinfo); }, report)) return result;
  raise(report);
}

void enter_callback(void (*body)(void*), void* argument) {
  Report report;
  if (!completed([&] { body(argument); }, report)) raise(report);
}

void check_for_interrupts() {
  guarded([] { CHECK_FOR_INTERRUPTS(); });
}

}  // namespace purser::pg
