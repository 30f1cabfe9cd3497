// The guard rails of a deletion: what must be true of the account before a user may go, and what
// becomes of the account.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "extension/deletion_source.hpp"

namespace purser {

struct AccountState {
  std::string status = "active";  // an account nobody used yet is active
  std::string role = "user";
  std::optional<std::string> plan;  // of the live subscription
  bool paid = false;                // that plan has a price above zero
};

// With `lock`, the account is made to exist and locked with all its entitlements.
AccountState account_state(std::string_view account_id, bool lock);

struct Blocker {
  Error error;
  bool may_be_overridden = false;  // by a superadmin with a reason
};

// Everything about the account that forbids the deletion now, in the order it is refused in.
std::vector<Blocker> account_blockers(std::string_view account_id, const AccountState& account);

// PU009 unless the address is the user's, to the letter.
void require_email(const User& user, const std::string& confirm_email);

// PU010 unless the actor's account is a superadmin's.
void require_superadmin(std::string_view actor);

// Appends an audit event about the account.
void audit(std::string_view actor, std::string_view action, std::string_view account_id,
           const std::string& details);

// Suspends an active account and cancels its subscription; returns whether there was one. A status
// that forbids acting already, such as banned, stays.
bool suspend_account(std::string_view account_id, const AccountState& account,
                     std::string_view actor);

// The account stays, as deleted, so that nothing can be charged to it later.
void close_account(std::string_view account_id, std::string_view actor);

// Queues the clean-up of a prefix in storage and returns the job's id.
std::string queue_storage_cleanup(std::string_view account_id, const std::string& prefix);

}  // namespace purser
