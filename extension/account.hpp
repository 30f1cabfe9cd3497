// Accounts as the decisions see them: status, plan and wall clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/quota.hpp"
#include "core/subscription.hpp"
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
  Instant since = end_of_time;      // when it came to its plan; end_of_time for one nobody used yet
  Instant until = end_of_time;  // when time alone will change the plan, its version or the anchor
};

// As the active snapshot shows them at `now`.
Account load_account(std::string_view account_id, Instant now);

// What tells the plan of an account at any instant since its subscription last changed.
struct AccountTimeline {
  Instant created_at = 0;
  std::string time_zone = "UTC";
  std::optional<Subscription> subscription;  // the live row, as stored
};

// Nullopt for an account nobody used yet. `View` says whether what committed since the calling
// statement began counts too, as it must under a lock that was waited for.
enum class View { of_statement, newest };
std::optional<AccountTimeline> load_timeline(std::string_view account_id, View view);

// What decides about one feature of one account.
struct Terms {
  Account account;
  std::optional<std::string> override_value;  // JSON, read over the plan's value
  Instant until = end_of_time;                // when time alone will change any of it
};

Terms load_terms(std::string_view account_id, std::string_view feature, Instant now);

// Makes the account exist. Racing calls make one.
void provision_account(std::string_view account_id, Instant now);

AccountStatus stored_status(std::string_view text);

}  // namespace purser
