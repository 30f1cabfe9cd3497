// The bytes of a ledger entry that its chain hash covers: the hash before it, then every field, in
// the order of the struct. A new field means a new layout name; old entries keep theirs.
#include "core/ledger.hpp"

namespace purser {
namespace {

// Layout 1 had no fingerprint and 2 no hold; neither was released, so no entry is kept under them.
constexpr char layout[] = "purser.ledger.3";

std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

void add_allocations(Canonical& canonical, const std::vector<Allocation>& allocations) {
  canonical.add("allocations", static_cast<std::int64_t>(allocations.size()));
  for (const Allocation& allocation : allocations) {
    canonical.add("grant_id", allocation.grant_id)
        .add("kind", allocation.kind)
        .add("amount", allocation.amount.micros());
  }
}

void add_optional(Canonical& canonical, std::string_view name,
                  const std::optional<std::int64_t>& value) {
  if (value)
    canonical.add(name, *value);
  else
    canonical.add(name, std::optional<std::string>());
}

}  // namespace

const char* to_string(Direction direction) {
  return direction == Direction::debit ? "DEBIT" : "CREDIT";
}

Digest chain_hash(const Digest& previous, const LedgerEntry& entry, const Sha256& sha256) {
  Canonical canonical(layout);
  canonical.add("previous", as_text(previous))
      .add("account_id", entry.account_id)
      .add("wallet", entry.wallet)
      .add("entry_no", entry.entry_no)
      .add("direction", to_string(entry.direction))
      .add("reason", entry.reason)
      .add("amount", entry.amount.micros())
      .add("balance_after", entry.balance_after.micros());
  add_allocations(canonical, entry.allocations);
  canonical.add("resource_type", entry.resource_type)
      .add("resource_id", entry.resource_id)
      .add("resource_title", entry.resource_title)
      .add("breakdown", entry.breakdown)
      .add("notes", entry.notes)
      .add("correlation_id", entry.correlation_id);
  canonical.add("fingerprint", entry.fingerprint
                                   ? std::optional(std::string(as_text(*entry.fingerprint)))
                                   : std::nullopt);
  add_optional(canonical, "refund_of", entry.refund_of);
  canonical.add("hold_id", entry.hold_id);
  canonical.add("created_at", entry.created_at).add("effective_at", entry.effective_at);
  return sha256(canonical.bytes());
}

}  // namespace purser
