// Accounts as the decisions see them: status, plan and wall clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/quota.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

// What an account brings to every decision. An account nobody used yet is active, on the default
// plan, in UTC.
struct Account {
  AccountStatus status = AccountStatus::active;
  std::string time_zone = "UTC";
  std::optional<std::string> plan;  // absent on the default plan
  std::optional<int> pinned_version;
  std::optional<LocalTime> anchor;  // of its billing periods
};

Account load_account(std::string_view account_id);

// Makes the account exist. Racing calls make one.
void provision_account(std::string_view account_id, Instant now);

AccountStatus stored_status(std::string_view text);

}  // namespace purser
