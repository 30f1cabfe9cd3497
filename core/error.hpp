// The one exception type of the rules: an error a person can cause, complete with its SQLSTATE.
#pragma once
#include "core/pure.hpp"

#include <exception>
#include <string>
#include <utility>

namespace purser {

// SQLSTATE class PU. Extend; never reuse a code for another meaning.
namespace sqlstate {
inline constexpr char quota_exceeded[] = "PU001";
inline constexpr char insufficient_credits[] = "PU002";
inline constexpr char account_not_active[] = "PU003";
inline constexpr char feature_not_in_plan[] = "PU004";
inline constexpr char idempotency_key_reused[] = "PU005";
inline constexpr char hold_not_open[] = "PU006";
inline constexpr char refund_exceeds_charge[] = "PU007";
inline constexpr char plan_invalid[] = "PU008";
inline constexpr char deletion_refused[] = "PU009";
inline constexpr char not_permitted[] = "PU010";
inline constexpr char rate_limited[] = "PU011";
inline constexpr char unknown_name[] = "PU012";    // account, plan, feature, operation or entry
inline constexpr char invalid_amount[] = "PU013";  // not a number, not finite, too fine, too large
inline constexpr char invalid_argument[] = "PU014";  // NULL, empty, too long or malformed
inline constexpr char limit_reached[] = "PU015";     // a technical ceiling, such as live grants
// PostgreSQL's own: repeat the transaction.
inline constexpr char serialization_failure[] = "40001";
}  // namespace sqlstate

// message: lower case, no period, numbers in it. detail and hint: full sentences, may be empty.
struct Error : std::exception {
  Error(const char* sqlstate, std::string what_happened, std::string why = {},
        std::string what_next = {})
      : code(sqlstate),
        message(std::move(what_happened)),
        detail(std::move(why)),
        hint(std::move(what_next)) {}

  const char* what() const noexcept override { return message.c_str(); }

  const char* code;
  std::string message;
  std::string detail;
  std::string hint;
};

}  // namespace purser
