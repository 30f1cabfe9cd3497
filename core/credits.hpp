// Credits in a wallet: which grants a charge takes, what a refund gives back, what has expired.
// Pure planning over the lots of one wallet; nothing here reads a clock or stores anything.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <limits>
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
  // What the end of the account's subscription does to it; follows from the wallet, never stored.
  Instant lapses_at = end_of_time;    // gone from then on, as if it expired
  Instant frozen_from = end_of_time;  // there, and not to be spent, from then on
  bool operator==(const Lot&) const = default;

  // First instant at which it is lost.
  Instant ends_at() const { return expires_at < lapses_at ? expires_at : lapses_at; }
  bool is_lost(Instant at) const { return is_past(ends_at(), at); }
  bool is_frozen(Instant at) const { return is_past(frozen_from, at); }
};

// What becomes of the credits of a subscription when the account has no live one any more.
enum class CancelPolicy {
  keep,    // nothing: they stay until they expire
  freeze,  // they wait, unspendable, for the next subscription
  lapse    // they are lost at the instant it ended
};

// False, and the policy untouched, for an unknown name.
bool parse_cancel_policy(std::string_view text, CancelPolicy& policy);

// Monthly and rollover credits come with a subscription; all others stay with the account.
bool is_subscription_kind(std::string_view kind);

// Applies the policy to the lots of subscription kinds up to `last_subscribed_grant`, for an
// account without a live subscription from `subscription_until` on (end_of_time: none is going to
// end).
inline constexpr std::int64_t every_grant = std::numeric_limits<std::int64_t>::max();
void apply_cancel_policy(std::vector<Lot>& lots, CancelPolicy policy, Instant subscription_until,
                         std::int64_t last_subscribed_grant = every_grant);

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

// Sum of what can be spent at `now`: lots neither lost nor frozen, holds excluded.
Amount spendable(const std::vector<Lot>& lots, Instant now);

// Whether something of a lot is lost by `now` and still there.
bool has_expired(const std::vector<Lot>& lots, Instant now);

// Debits `amount` in debit order, all or nothing: on a shortfall the lots are untouched and the
// result is empty. Lots must be in debit order.
std::optional<std::vector<Allocation>> debit(std::vector<Lot>& lots, Amount amount, Instant now);

// Credits set aside for work in flight. They stay in their lots, held, until they are captured or
// given back; what of a lot is held is not lost with it.
struct OpenHold {
  std::string hold_id;
  Instant expires_at = end_of_time;
  std::vector<Allocation> parts;  // still held of each grant, in the order they were taken
  bool operator==(const OpenHold&) const = default;
};

// Holds `amount` in debit order, all or nothing, as debit() would take it.
std::optional<std::vector<Allocation>> hold(std::vector<Lot>& lots, Amount amount, Instant now);

// Takes `amount` of the parts, first part first; they must have as much.
std::vector<Allocation> take_first(std::vector<Allocation>& parts, Amount amount);

// Adds what was held later to the parts held of the same grants.
void add_parts(std::vector<Allocation>& parts, const std::vector<Allocation>& more);

// Ends the holding of parts: captured, they are gone from their lots; given back, they can be spent
// again where the lot can.
void capture_held(std::vector<Lot>& lots, const std::vector<Allocation>& parts);
void give_back_held(std::vector<Lot>& lots, const std::vector<Allocation>& parts);

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
