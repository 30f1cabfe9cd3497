// Credits in a wallet: which grants a charge takes, what a refund gives back, what has expired.
// Pure planning over the lots of one wallet; nothing here reads a clock or stores anything.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/amount.hpp"
#include "core/period.hpp"

namespace purser {

// What is left of one grant. A lot lives in the wallet until nothing of it remains and nothing is
// held; the immutable record of the grant stays for ever.
struct Lot {
  std::int64_t grant_id = 0;  // numbered per wallet in the order granted
  std::string kind;
  int priority = 0;                  // smaller is spent first
  Instant expires_at = end_of_time;  // first instant at which it can no longer be spent
  Amount remaining;                  // spendable, holds not included
  Amount held;
  bool operator==(const Lot&) const = default;
};

// Part of an entry that one grant bore (charge) or received (grant, refund).
struct Allocation {
  std::int64_t grant_id = 0;
  std::string kind;
  Amount amount;
  bool operator==(const Allocation&) const = default;
};

// Priority of a kind when the grant does not name one: monthly 10, rollover 20, promotional 30,
// refund 40, adjustment 50, purchased 60. False for an unknown kind.
bool default_priority(std::string_view kind, int& priority);

// Debit order: priority, then soonest expiry, then oldest grant.
bool debited_before(const Lot& a, const Lot& b);
void sort_in_debit_order(std::vector<Lot>& lots);

// Sum of what can be spent at `now`: lots that have not expired, holds excluded.
Amount spendable(const std::vector<Lot>& lots, Instant now);

// Takes the expired, unheld remainder out of the lots and says what lapsed, oldest expiry first.
std::vector<Allocation> take_expired(std::vector<Lot>& lots, Instant now);

// Debits `amount` in debit order, all or nothing: on a shortfall the lots are untouched and the
// result is empty. Lots must be in debit order.
std::optional<std::vector<Allocation>> debit(std::vector<Lot>& lots, Amount amount, Instant now);

// Drops lots of which nothing remains and nothing is held.
void drop_empty(std::vector<Lot>& lots);

// Which allocations of a charge a refund of `amount` gives back: last debited first, each up to
// what earlier refunds left of it. `refunded` holds what earlier refunds gave back, per grant.
// Empty when more is asked than the charge still has.
std::optional<std::vector<Allocation>> plan_refund(const std::vector<Allocation>& charged,
                                                   const std::vector<Allocation>& refunded,
                                                   Amount amount);

Amount total(const std::vector<Allocation>& allocations);

}  // namespace purser
