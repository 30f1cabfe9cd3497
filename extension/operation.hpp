// Pricing and counting one operation of an account: what charging it and holding for it share.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/pricing.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/charge.hpp"
#include "extension/settlement.hpp"

namespace purser {

// What the price depends on beside the request.
struct PriceList {
  std::shared_ptr<Catalog> catalog;
  PublishedCard published;
  Account account;
};

// The card in force; tells the request the account's plan.
PriceList price_list(const std::string& account_id, PriceRequest& request, Instant now);

// How far an account is in the running period of an operation.
struct Counter {
  Period period;
  Amount used;
};

// The counter under its lock, made when it is missing.
Counter locked_counter(const std::string& account_id, const Operation& operation,
                       const Account& account, Instant now);

Breakdown priced(const PriceList& list, const PriceRequest& request, Amount used);

// Counts what was priced; the counter is locked.
void count(const std::string& account_id, const Breakdown& breakdown, Counter counter);

std::string stored_json(const Breakdown& breakdown);

// The answer to the same request, whether it cost anything or not. PU005 for another request.
std::optional<Outcome> before(const ChargeRequest& request, const Digest& fingerprint);

// Claims the correlation id of an operation that costs nothing and so makes no entry.
Outcome record_free(const ChargeRequest& request, const Digest& fingerprint, Amount balance,
                    Instant now);

// The outcome as a row of purser.ledger_entry, without a number where there is no entry.
Datum operation_datum(FunctionCallInfo fcinfo, const Outcome& outcome);

}  // namespace purser
