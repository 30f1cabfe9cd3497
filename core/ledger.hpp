// A ledger entry as it is hashed into the chain of its wallet.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/amount.hpp"
#include "core/canonical.hpp"
#include "core/credits.hpp"
#include "core/period.hpp"

namespace purser {

enum class Direction { debit, credit };
const char* to_string(Direction direction);  // "DEBIT", "CREDIT"

// One immutable movement of credits. Numbered 1, 2, 3 … within (account, wallet).
struct LedgerEntry {
  std::string account_id;
  std::string wallet;
  std::int64_t entry_no = 0;
  Direction direction = Direction::credit;
  std::string reason;
  Amount amount;         // always positive
  Amount balance_after;  // of the wallet, holds included
  std::vector<Allocation> allocations;
  std::optional<std::string> resource_type, resource_id, resource_title;
  std::optional<std::string> breakdown;  // jsonb text
  std::optional<std::string> notes;
  std::optional<std::string> correlation_id;
  std::optional<Digest> fingerprint;      // of the request; absent for an expiry
  std::optional<std::int64_t> refund_of;  // entry_no of the charge a refund gives back
  std::optional<std::string> hold_id;     // of the hold a charge was captured from
  Instant created_at = 0;
  Instant effective_at = 0;  // when the balance changed; earlier than created_at for an expiry
};

// hash(n) = SHA-256(canonical bytes of entry n, which begin with hash(n - 1)); hash(0) is 32 zeros.
Digest chain_hash(const Digest& previous, const LedgerEntry& entry, const Sha256& sha256);

}  // namespace purser
