// Quoting by the server's own functions, under a guard.
#include "extension/pg/name.hpp"

namespace purser::pg {

std::string quoted(std::string_view identifier) {
  const std::string copy(identifier);
  const char* source = copy.c_str();
  return guarded([&] { return quote_identifier(source); });
}

std::string quoted(std::string_view schema, std::string_view name) {
  return quoted(schema) + "." + quoted(name);
}

std::string literal(std::string_view text) {
  const std::string copy(text);
  const char* source = copy.c_str();
  return guarded([&] { return quote_literal_cstr(source); });
}

std::string current_role() {
  return quoted(guarded([] { return GetUserNameFromId(GetUserId(), false); }));
}

}  // namespace purser::pg
