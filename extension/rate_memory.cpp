// The shared table of rate limits. Under a set's spinlock runs nothing but arithmetic on its slots:
// no call that can raise an error, wait, or be interrupted.
#include "extension/rate_memory.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/siphash.hpp"
#include "extension/pg/postgres.hpp"

extern "C" {
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
}

namespace purser::rate_memory {

namespace {

// Enough that keys falling unevenly seldom fill a set while half of all slots are free.
constexpr int ways = 32;
constexpr std::size_t change_counters = 4096;

struct Slot {
  Key key;  // nothing hashes to zero but by a chance of 2^-128
  RateState state;
  PlanMemo memo;
};

struct Set {
  slock_t lock;
  std::uint64_t tags[ways];  // the low halves of the keys, side by side to be searched
  Slot slots[ways];
};

struct Table {
  SipKey secret;
  std::uint64_t sets;
  pg_atomic_uint64 evictions;
  pg_atomic_uint64 changes[change_counters];
  Set set[FLEXIBLE_ARRAY_MEMBER];
};

int slots_setting = 0;
Table* table = nullptr;

shmem_startup_hook_type next_startup_hook = nullptr;

constexpr int default_slots = 65'536;
constexpr int fewest_slots = 1024;
constexpr int most_slots = 16'777'216;

std::uint64_t wanted_sets() {
  return static_cast<std::uint64_t>(slots_setting + ways - 1) / ways;
}

Size wanted_size() {
  return offsetof(Table, set) + wanted_sets() * sizeof(Set);
}

Slot* find(Set& set, const Key& key) {
  for (int i = 0; i < ways; ++i)
    if (set.tags[i] == key.low && set.slots[i].key == key) return &set.slots[i];
  return nullptr;
}

// Gives a slot to a key; what was in it is forgotten.
void assign(Set& set, Slot& slot, const Key& key) {
  set.tags[&slot - set.slots] = key.low;
  slot = Slot{key, RateState(), PlanMemo()};
}

void make_table(Table* made) {
  if (!pg_strong_random(&made->secret, sizeof(made->secret)))
    ereport(FATAL, (errmsg("could not generate a random key for rate limits")));
  made->sets = wanted_sets();
  pg_atomic_init_u64(&made->evictions, 0);
  for (pg_atomic_uint64& change : made->changes) pg_atomic_init_u64(&change, 0);
  for (std::uint64_t i = 0; i < made->sets; ++i) {
    SpinLockInit(&made->set[i].lock);
    for (Slot& slot : made->set[i].slots) assign(made->set[i], slot, Key());
  }
}

void attach() {
  if (next_startup_hook != nullptr) next_startup_hook();
  pg::enter_callback(
      [](void*) {
        pg::guarded([] {
          bool found = false;
          LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
          table = static_cast<Table*>(ShmemInitStruct("purser rate limits", wanted_size(), &found));
          if (!found) make_table(table);
          LWLockRelease(AddinShmemInitLock);
        });
      },
      nullptr);
}

// ---- what waits for the commit ------------------------------------------------------------------

struct Clear {
  SubTransactionId subtransaction;
  Key key;
};

// Filled by the transaction, emptied at its end. Only numbers, so that nothing there can fail.
std::vector<std::size_t> waiting_changes;
std::vector<Clear> waiting_clears;

Set& set_of(const Key& key) {
  return table->set[key.high % table->sets];
}

void clear(const Key& key) {
  Set& set = set_of(key);
  SpinLockAcquire(&set.lock);
  if (Slot* slot = find(set, key)) slot->state = RateState();
  SpinLockRelease(&set.lock);
}

void transaction_ends(XactEvent event, void*) {
  if (event == XACT_EVENT_PRE_PREPARE && !waiting_clears.empty())
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot PREPARE a transaction that has cleared rate limits")));
  if (event == XACT_EVENT_COMMIT) {
    for (const std::size_t counter : waiting_changes)
      pg_atomic_fetch_add_u64(&table->changes[counter], 1);
    for (const Clear& waiting : waiting_clears) clear(waiting.key);
  }
  if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) {
    waiting_changes.clear();
    waiting_clears.clear();
  }
}

// What a rolled back savepoint wanted cleared stays. A change counted in vain only costs a look.
void subtransaction_ends(SubXactEvent event, SubTransactionId id, SubTransactionId, void*) {
  if (event != SUBXACT_EVENT_ABORT_SUB) return;
  while (!waiting_clears.empty() && waiting_clears.back().subtransaction >= id)
    waiting_clears.pop_back();
}

std::size_t change_counter(std::string_view account_id) {
  return siphash(table->secret, account_id).low % change_counters;
}

// ---- the table ----------------------------------------------------------------------------------

// The slot to give away: one that is free or full again, or else the one that is full soonest.
Slot& least_needed(Set& set, Instant now, bool& lost) {
  Slot* soonest = &set.slots[0];
  for (Slot& slot : set.slots) {
    if (slot.state.is_full(now)) {
      lost = false;
      return slot;
    }
    if (slot.state.full_at < soonest->state.full_at) soonest = &slot;
  }
  lost = true;
  return *soonest;
}

}  // namespace

void prepare() {
  const bool preloading = process_shared_preload_libraries_in_progress;
  DefineCustomIntVariable(
      "purser.rate_limit_slots", "Rate limit buckets kept in shared memory.",
      "Takes effect when the server starts with purser in shared_preload_libraries.",
      &slots_setting, default_slots, fewest_slots, most_slots,
      preloading ? PGC_POSTMASTER : PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  if (!preloading) return;
  compat_request_shared_memory(wanted_size);
  next_startup_hook = shmem_startup_hook;
  shmem_startup_hook = attach;
  RegisterXactCallback(transaction_ends, nullptr);
  RegisterSubXactCallback(subtransaction_ends, nullptr);
}

bool available() {
  return table != nullptr;
}

Key key_of(std::string_view owner, std::string_view scope) {
  // Both are at most 255 bytes long, so the lengths in front make the parts unmistakable.
  std::array<char, 2 * 255 + 16> bytes;
  std::size_t size = 0;
  const auto put = [&](const void* data, std::size_t length) {
    if (size + length > bytes.size()) throw std::logic_error("rate limit key is too long");
    std::memcpy(bytes.data() + size, data, length);
    size += length;
  };
  const std::uint32_t database = MyDatabaseId;
  const auto owner_size = static_cast<std::uint32_t>(owner.size());
  put(&database, sizeof(database));
  put(&owner_size, sizeof(owner_size));
  put(owner.data(), owner.size());
  put(scope.data(), scope.size());
  const SipHash hash = siphash(table->secret, {bytes.data(), size});
  return {hash.high, hash.low};
}

std::uint64_t change_of(std::string_view account_id) {
  return pg_atomic_read_u64(&table->changes[change_counter(account_id)]);
}

std::optional<PlanMemo> recall(const Key& key) {
  Set& set = set_of(key);
  PlanMemo memo;
  SpinLockAcquire(&set.lock);
  const Slot* slot = find(set, key);
  const bool found = slot != nullptr;
  if (found) memo = slot->memo;
  SpinLockRelease(&set.lock);
  if (!found) return std::nullopt;
  return memo;
}

RateDecision take(const Key& key, const RateLimit& limit, std::int64_t cost, Instant now,
                  const PlanMemo& memo) {
  Set& set = set_of(key);
  bool lost = false;
  SpinLockAcquire(&set.lock);
  Slot* slot = find(set, key);
  RateState state = slot != nullptr ? slot->state : RateState();
  const RateDecision decision = purser::take(limit, state, cost, now);
  // What was refused to a new key needs no slot: it asked for more than the limit.
  if (slot == nullptr && decision.allowed) {
    slot = &least_needed(set, now, lost);
    assign(set, *slot, key);
  }
  if (slot != nullptr) {
    slot->state = state;
    slot->memo = memo;
  }
  SpinLockRelease(&set.lock);
  if (lost) pg_atomic_fetch_add_u64(&table->evictions, 1);
  return decision;
}

RateDecision look(const Key& key, const RateLimit& limit, std::int64_t cost, Instant now) {
  Set& set = set_of(key);
  SpinLockAcquire(&set.lock);
  const Slot* slot = find(set, key);
  RateState state = slot != nullptr ? slot->state : RateState();
  SpinLockRelease(&set.lock);
  return purser::take(limit, state, cost, now);
}

void remember(const Key& key, const PlanMemo& memo, Instant now) {
  Set& set = set_of(key);
  SpinLockAcquire(&set.lock);
  Slot* slot = find(set, key);
  bool lost = false;
  if (slot == nullptr) slot = &least_needed(set, now, lost);
  if (!lost) {
    if (slot->key != key) assign(set, *slot, key);
    slot->memo = memo;
  }
  SpinLockRelease(&set.lock);
}

void count_change_at_commit(std::string_view account_id) {
  waiting_changes.push_back(change_counter(account_id));
}

void clear_at_commit(const Key& key) {
  waiting_clears.push_back({GetCurrentSubTransactionId(), key});
}

bool changes_wait() {
  return !waiting_changes.empty();
}

Status status(Instant now) {
  Status status;
  status.slots = static_cast<std::int64_t>(table->sets * ways);
  status.evictions = static_cast<std::int64_t>(pg_atomic_read_u64(&table->evictions));
  for (std::uint64_t i = 0; i < table->sets; ++i) {
    Set& set = table->set[i];
    SpinLockAcquire(&set.lock);
    for (const Slot& slot : set.slots) status.used += slot.state.is_full(now) ? 0 : 1;
    SpinLockRelease(&set.lock);
  }
  return status;
}

}  // namespace purser::rate_memory
