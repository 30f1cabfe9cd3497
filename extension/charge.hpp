// Charging a wallet, for every function that comes to it: a plain charge, an operation of a rate
// card, a hold.
#pragma once

#include <optional>
#include <string>

#include "core/credits.hpp"
#include "core/ledger.hpp"
#include "core/quota.hpp"
#include "extension/pg/value.hpp"
#include "extension/settlement.hpp"

namespace purser {

struct ChargeRequest {
  std::string account_id, wallet, correlation_id, reason;
  Amount amount;
  std::optional<std::string> resource_type, resource_id, resource_title, breakdown, notes;

  Digest fingerprint() const;
};

// All or nothing; the same id and fingerprint again gives the first entry. PU002, PU003, PU005.
Outcome charge_credits(const ChargeRequest& request, const Digest& fingerprint);

// Arguments resource_type, resource_id and resource_title from position `first` on.
void read_resource(const pg::Arguments& arguments, int first, std::optional<std::string>& type,
                   std::optional<std::string>& id, std::optional<std::string>& title);

// PU002, with balance, required and shortfall.
[[noreturn]] void refuse_insufficient(const std::string& account_id, const std::string& wallet,
                                      Amount required, Amount balance);

// PU003 unless the account may be charged.
void require_active(const std::string& account_id, AccountStatus status);

}  // namespace purser
