// Rate limit buckets in shared memory: a table of fixed size, made when the server starts with
// purser in shared_preload_libraries. Without that there is none, and rate_table.hpp takes its
// place.
//
// A key can live in the 32 slots of one set, each set has a spinlock of its own. A new key takes
// the slot of a bucket that is full again: forgetting it changes no decision. Where a set has none,
// the bucket that is soonest full goes, and whoever it belonged to may start anew: that is counted.
// Nothing here is transactional, and a crash of the server forgets it all.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/ratelimit.hpp"
#include "extension/pg/guard.hpp"

namespace purser::rate_memory {

// Called while the library is loaded: defines purser.rate_limit_slots and, in the postmaster, asks
// for the memory.
void prepare();

bool available();

// A bucket's key, hashed with a secret: nobody can choose keys that meet in one set. Only with
// available(), as everything below.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const Key&) const = default;
};
Key key_of(std::string_view owner, std::string_view scope);

// Which plan an account was found to follow, kept beside its bucket: asking the tables at every
// call would cost more than all the rest.
struct PlanMemo {
  std::uint64_t plan = 0;           // hash of its code; 0 on the default plan
  std::int32_t pinned_version = 0;  // 0 when it is not pinned
  std::uint32_t catalog = 0;        // the installation of purser it was read from
  std::uint64_t change = 0;         // change_of() the account before it was read
  Instant read_at = 0;
  Instant valid_until = begin_of_time;
};

// Counts the committed changes of accounts with this hash. Read it before the plan is read, with a
// snapshot taken after: who sees the same number later knows that the plan is still the one.
std::uint64_t change_of(std::string_view account_id);

std::optional<PlanMemo> recall(const Key& key);

// Decides in one step under the set's lock, and keeps the memo.
RateDecision take(const Key& key, const RateLimit& limit, std::int64_t cost, Instant now,
                  const PlanMemo& memo);

// What take() would decide. Counts nothing.
RateDecision look(const Key& key, const RateLimit& limit, std::int64_t cost, Instant now);

// Keeps the memo of a key that is not limited, where there is room for it.
void remember(const Key& key, const PlanMemo& memo, Instant now);

// The end of the running transaction, when it commits, also does this.
void count_change_at_commit(std::string_view account_id);
void clear_at_commit(const Key& key);
// Whether a change of a plan is waiting for the commit: then only the tables know.
bool changes_wait();

struct Status {
  std::int64_t slots = 0;
  std::int64_t used = 0;  // by buckets that are not full
  std::int64_t evictions = 0;
};
Status status(Instant now);

}  // namespace purser::rate_memory
