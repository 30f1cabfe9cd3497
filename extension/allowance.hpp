// Where the allowances of an account's wallet come from: its plan, at any instant.
#pragma once

#include <string_view>

#include "core/allowance.hpp"
#include "extension/account.hpp"

namespace purser {

// Reads the account when it is first asked. `now` is when an account begins that nobody used yet.
AllowanceSource allowance_source(std::string_view account_id, std::string_view wallet, Instant now,
                                 View view);

}  // namespace purser
