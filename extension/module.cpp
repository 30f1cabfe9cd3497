// What happens once when a session, or the server before all sessions, loads the library.
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/rate_memory.hpp"

// Read by the row-level security policies through current_setting(), never by C++.
static char* account_setting = nullptr;

_Pragma("GCC visibility push(default)") extern "C" {
  PURSER_MODULE_MAGIC;
  void _PG_init(void);
}
_Pragma("GCC visibility pop")

    void _PG_init(void) {
  purser::pg::enter_callback(
      [](void*) {
        purser::pg::guarded([] {
          purser::pg::define_clock_setting();
          DefineCustomStringVariable(
              "purser.account_id", "The account whose rows purser_reader may see.", nullptr,
              &account_setting, "", PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
          purser::rate_memory::prepare();
          MarkGUCPrefixReserved("purser");
          purser::register_catalog_callbacks();
        });
      },
      nullptr);
}
