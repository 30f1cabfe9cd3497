// Planning over the lots of one wallet: debit order, expiry, refunds. A plan that cannot be carried
// out whole changes nothing.
#include "core/credits.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "core/error.hpp"

namespace purser {
namespace {

bool is_spendable(const Lot& lot, Instant now) {
  return !lot.is_lost(now) && !lot.is_frozen(now) && lot.remaining.is_positive();
}

bool is_to_be_taken(const Lot& lot, Instant now) {
  return lot.is_lost(now) && lot.remaining.is_positive();
}

void require_not_negative(Amount amount, const char* what) {
  if (!amount.is_zero()) require_positive(amount, what);
}

std::map<std::int64_t, Amount> total_per_grant(const std::vector<Allocation>& allocations) {
  std::map<std::int64_t, Amount> totals;
  for (const Allocation& allocation : allocations) totals[allocation.grant_id] += allocation.amount;
  return totals;
}

}  // namespace

bool default_priority(std::string_view kind, int& priority) {
  static constexpr struct {
    std::string_view kind;
    int priority;
  } priorities[] = {{"monthly", 10}, {"rollover", 20},   {"promotional", 30},
                    {"refund", 40},  {"adjustment", 50}, {"purchased", 60}};
  for (const auto& known : priorities) {
    if (kind != known.kind) continue;
    priority = known.priority;
    return true;
  }
  return false;
}

bool parse_cancel_policy(std::string_view text, CancelPolicy& policy) {
  if (text == "keep")
    policy = CancelPolicy::keep;
  else if (text == "freeze")
    policy = CancelPolicy::freeze;
  else if (text == "lapse")
    policy = CancelPolicy::lapse;
  else
    return false;
  return true;
}

bool is_subscription_kind(std::string_view kind) {
  return kind == "monthly" || kind == "rollover";
}

void apply_cancel_policy(std::vector<Lot>& lots, CancelPolicy policy, Instant subscription_until,
                         std::int64_t last_subscribed_grant) {
  for (Lot& lot : lots) {
    if (!is_subscription_kind(lot.kind) || lot.grant_id > last_subscribed_grant) continue;
    lot.lapses_at = policy == CancelPolicy::lapse ? subscription_until : end_of_time;
    lot.frozen_from = policy == CancelPolicy::freeze ? subscription_until : end_of_time;
  }
}

bool debited_before(const Lot& a, const Lot& b) {
  return std::tie(a.priority, a.expires_at, a.grant_id) <
         std::tie(b.priority, b.expires_at, b.grant_id);
}

void sort_in_debit_order(std::vector<Lot>& lots) {
  std::sort(lots.begin(), lots.end(), debited_before);
}

Amount spendable(const std::vector<Lot>& lots, Instant now) {
  Amount sum;
  for (const Lot& lot : lots)
    if (is_spendable(lot, now)) sum += lot.remaining;
  return sum;
}

bool has_expired(const std::vector<Lot>& lots, Instant now) {
  return std::any_of(lots.begin(), lots.end(),
                     [now](const Lot& lot) { return is_to_be_taken(lot, now); });
}

namespace {

// What of each lot makes up the amount, in debit order; empty on a shortfall.
std::optional<std::vector<Allocation>> plan_debit(const std::vector<Lot>& lots, Amount amount,
                                                  Instant now) {
  std::vector<Allocation> taken;
  Amount missing = amount;
  for (const Lot& lot : lots) {
    if (missing.is_zero()) break;
    if (!is_spendable(lot, now)) continue;
    const Amount part = std::min(lot.remaining, missing);
    taken.push_back({lot.grant_id, lot.kind, part});
    missing -= part;
  }
  if (missing.is_positive()) return std::nullopt;
  return taken;
}

// Calls act(lot, amount) for each part. Parts are few, and their lots are there.
template <class Act>
void for_each_part(std::vector<Lot>& lots, const std::vector<Allocation>& parts, Act act) {
  for (const Allocation& part : parts)
    for (Lot& lot : lots)
      if (lot.grant_id == part.grant_id) act(lot, part.amount);
}

}  // namespace

std::optional<std::vector<Allocation>> debit(std::vector<Lot>& lots, Amount amount, Instant now) {
  require_not_negative(amount, "charge");
  auto taken = plan_debit(lots, amount, now);
  if (taken) for_each_part(lots, *taken, [](Lot& lot, Amount part) { lot.remaining -= part; });
  return taken;
}

std::optional<std::vector<Allocation>> hold(std::vector<Lot>& lots, Amount amount, Instant now) {
  require_not_negative(amount, "hold");
  auto taken = plan_debit(lots, amount, now);
  if (taken)
    for_each_part(lots, *taken, [](Lot& lot, Amount part) {
      lot.remaining -= part;
      lot.held += part;
    });
  return taken;
}

std::vector<Allocation> take_first(std::vector<Allocation>& parts, Amount amount) {
  std::vector<Allocation> taken;
  Amount missing = amount;
  for (Allocation& part : parts) {
    if (missing.is_zero()) break;
    taken.push_back({part.grant_id, part.kind, std::min(part.amount, missing)});
    part.amount -= taken.back().amount;
    missing -= taken.back().amount;
  }
  std::erase_if(parts, [](const Allocation& part) { return part.amount.is_zero(); });
  return taken;
}

void add_parts(std::vector<Allocation>& parts, const std::vector<Allocation>& more) {
  for (const Allocation& added : more) {
    const auto same = std::find_if(parts.begin(), parts.end(), [&](const Allocation& part) {
      return part.grant_id == added.grant_id;
    });
    if (same == parts.end())
      parts.push_back(added);
    else
      same->amount += added.amount;
  }
}

void capture_held(std::vector<Lot>& lots, const std::vector<Allocation>& parts) {
  for_each_part(lots, parts, [](Lot& lot, Amount part) { lot.held -= part; });
}

void give_back_held(std::vector<Lot>& lots, const std::vector<Allocation>& parts) {
  for_each_part(lots, parts, [](Lot& lot, Amount part) {
    lot.held -= part;
    lot.remaining += part;
  });
}

void drop_empty(std::vector<Lot>& lots) {
  std::erase_if(lots, [](const Lot& lot) { return lot.remaining.is_zero() && lot.held.is_zero(); });
}

std::optional<std::vector<Allocation>> plan_refund(const std::vector<Allocation>& charged,
                                                   const std::vector<Allocation>& refunded,
                                                   Amount amount) {
  require_not_negative(amount, "refund");
  std::map<std::int64_t, Amount> already = total_per_grant(refunded);
  std::vector<Allocation> given_back;
  Amount missing = amount;
  for (auto charge = charged.rbegin(); charge != charged.rend() && missing.is_positive();
       ++charge) {
    Amount& returned = already[charge->grant_id];
    const Amount earlier = std::min(returned, charge->amount);
    returned -= earlier;
    const Amount part = std::min(charge->amount - earlier, missing);
    if (part.is_zero()) continue;
    given_back.push_back({charge->grant_id, charge->kind, part});
    missing -= part;
  }
  if (missing.is_positive()) return std::nullopt;
  return given_back;
}

Amount total(const std::vector<Allocation>& allocations) {
  Amount sum;
  for (const Allocation& allocation : allocations) sum += allocation.amount;
  return sum;
}

}  // namespace purser
