// Names of the application's objects, quoted for statements made at run time.
#pragma once

#include <string>
#include <string_view>

#include "extension/pg/guard.hpp"

namespace purser::pg {

// As it must be written in SQL: order, "Order", "say ""hi""".
std::string quoted(std::string_view identifier);
std::string quoted(std::string_view schema, std::string_view name);

// As a string constant: 'it''s'.
std::string literal(std::string_view text);

// The role whose rights apply, quoted.
std::string current_role();

}  // namespace purser::pg
