#include "test/concurrency/wallet_model.hpp"

#include <algorithm>
#include <tuple>

namespace purser::test {

namespace {

constexpr int priority_of_refunds = 40;

}  // namespace

std::string to_string(const Parts& parts) {
  std::string text;
  for (const auto& [grant, amount] : parts)
    text += (text.empty() ? "" : ",") + std::to_string(grant) + ":" + std::to_string(amount);
  return text;
}

Micros sum(const Parts& parts) {
  Micros total = 0;
  for (const auto& part : parts) total += part.second;
  return total;
}

Micros ModelWallet::spendable(Hour now) const {
  Micros total = 0;
  for (const ModelLot& lot : lots)
    if (lot.expires > now) total += lot.remaining;
  return total;
}

Micros ModelWallet::held() const {
  Micros total = 0;
  for (const ModelLot& lot : lots) total += lot.held;
  return total;
}

ModelLot* ModelWallet::find(int id) {
  const auto found =
      std::find_if(lots.begin(), lots.end(), [id](const ModelLot& lot) { return lot.id == id; });
  return found == lots.end() ? nullptr : &*found;
}

void ModelWallet::sort() {
  std::sort(lots.begin(), lots.end(), [](const ModelLot& a, const ModelLot& b) {
    return std::tie(a.priority, a.expires, a.id) < std::tie(b.priority, b.expires, b.id);
  });
}

void ModelWallet::drop_empty() {
  std::erase_if(lots, [](const ModelLot& lot) { return lot.remaining == 0 && lot.held == 0; });
}

ModelEntry& ModelWallet::write(ModelEntry entry) {
  entry.no = static_cast<int>(entries.size()) + 1;
  entry.amount = sum(entry.parts);
  balance += entry.debit ? -entry.amount : entry.amount;
  entry.balance_after = balance;
  entries.push_back(std::move(entry));
  return entries.back();
}

std::optional<Parts> ModelWallet::plan(Micros amount, Hour now) const {
  Parts parts;
  for (const ModelLot& lot : lots) {
    const Micros part = std::min(lot.remaining, amount);
    if (part == 0 || lot.expires <= now) continue;
    parts.emplace_back(lot.id, part);
    amount -= part;
  }
  if (amount > 0) return std::nullopt;
  return parts;
}

ModelAnswer ModelWallet::grant(Micros amount, int priority, Hour expires, const std::string& id,
                               Hour now) {
  const int grant = ++last_grant_;
  grants_[grant] = {expires, priority};
  lots.push_back({grant, priority, expires, amount, 0});
  sort();
  ModelEntry entry;
  entry.reason = "grant";
  entry.parts = {{grant, amount}};
  entry.effective = now;
  entry.id = id;
  return {{}, write(entry)};
}

ModelAnswer ModelWallet::charge(Micros amount, const std::string& reason, const std::string& id,
                                int resource, Hour now) {
  const auto parts = plan(amount, now);
  if (!parts) return {"PU002", {}};
  for (const auto& [grant, part] : *parts) find(grant)->remaining -= part;
  drop_empty();
  ModelEntry entry;
  entry.debit = true;
  entry.reason = reason;
  entry.parts = *parts;
  entry.effective = entry.taken = now;
  entry.id = id;
  entry.resource = resource;
  return {{}, write(entry)};
}

// Backwards through what the charge took, leaving out what earlier refunds gave back. A grant that
// has ended since is replaced by one that lives as long as it still had to live when it was taken
// from.
ModelAnswer ModelWallet::refund(int entry_no, std::optional<Micros> amount, const std::string& id,
                                Hour now) {
  if (entry_no < 1 || entry_no > static_cast<int>(entries.size())) return {"PU012", {}};
  const ModelEntry charge = entries[static_cast<std::size_t>(entry_no) - 1];
  if (!charge.debit || charge.id.empty()) return {"PU014", {}};
  const Micros left = charge.amount - charge.refunded;
  if (left == 0 || amount.value_or(left) > left) return {"PU007", {}};
  entries[static_cast<std::size_t>(entry_no) - 1].refunded += amount.value_or(left);

  Micros skip = charge.refunded, missing = amount.value_or(left);
  ModelEntry entry;
  for (auto part = charge.parts.rbegin(); part != charge.parts.rend() && missing > 0; ++part) {
    const Micros before = std::min(skip, part->second);
    skip -= before;
    const Micros back = std::min(part->second - before, missing);
    if (back == 0) continue;
    missing -= back;
    const Made made = grants_.at(part->first);
    int to = part->first;
    if (made.expires <= now) {
      to = ++last_grant_;
      grants_[to] = {now + (made.expires - charge.taken), priority_of_refunds};
    }
    if (ModelLot* lot = find(to))
      lot->remaining += back;
    else
      lots.push_back({to, grants_.at(to).priority, grants_.at(to).expires, back, 0});
    entry.parts.emplace_back(to, back);
  }
  sort();
  entry.reason = "refund";
  entry.effective = now;
  entry.id = id;
  entry.refund_of = entry_no;
  entry.resource = charge.resource;
  return {{}, write(entry)};
}

std::optional<Parts> ModelWallet::hold(Micros amount, Hour now) {
  auto parts = plan(amount, now);
  if (parts)
    for (const auto& [grant, part] : *parts) {
      find(grant)->remaining -= part;
      find(grant)->held += part;
    }
  return parts;
}

void ModelWallet::give_back(const Parts& parts) {
  for (const auto& [grant, part] : parts) {
    find(grant)->held -= part;
    find(grant)->remaining += part;
  }
}

void ModelWallet::release(ModelHold& hold, const char* state, Hour now) {
  give_back(hold.parts);
  hold.parts.clear();
  hold.state = state;
  lose(now, now);
  drop_empty();
}

ModelAnswer ModelWallet::capture(ModelHold& hold, std::optional<Micros> amount, bool final,
                                 const std::string& id, Hour now) {
  const Micros held = sum(hold.parts);
  if (hold.state != "open" || amount.value_or(held) > held) return {"PU006", {}};
  Micros missing = amount.value_or(held);
  ModelEntry entry;
  Parts left;
  for (const auto& [grant, part] : hold.parts) {
    const Micros taken = std::min(part, missing);
    missing -= taken;
    find(grant)->held -= taken;
    if (taken > 0) entry.parts.emplace_back(grant, taken);
    if (part > taken) left.emplace_back(grant, part - taken);
  }
  hold.captured += sum(entry.parts);
  hold.parts = left;
  if (final || left.empty()) release(hold, "captured", now);
  drop_empty();
  entry.debit = true;
  entry.reason = "work";
  entry.effective = now;
  entry.id = id;
  entry.taken = hold.made;
  entry.hold = hold.id;
  entry.resource = hold.resource;
  return {{}, write(entry)};
}

// What ended by then, the first to end first; at its end, or later when it came back only then.
void ModelWallet::lose(Hour until, Hour at_the_earliest) {
  std::vector<ModelLot> ended = lots;
  std::erase_if(ended,
                [until](const ModelLot& lot) { return lot.expires > until || lot.remaining == 0; });
  std::sort(ended.begin(), ended.end(), [](const ModelLot& a, const ModelLot& b) {
    return std::tie(a.expires, a.id) < std::tie(b.expires, b.id);
  });
  for (const ModelLot& lot : ended) {
    find(lot.id)->remaining = 0;
    ModelEntry entry;
    entry.debit = true;
    entry.reason = "expired";
    entry.parts = {{lot.id, lot.remaining}};
    entry.effective = std::max(lot.expires, at_the_earliest);
    write(entry);
  }
}

void ModelWallet::pass(std::vector<ModelHold>& holds, const std::string& name, Hour now) {
  while (true) {
    Hour next = now + 1;
    for (const ModelHold& hold : holds)
      if (hold.state == "open" && hold.wallet == name) next = std::min(next, hold.expires);
    if (next > now) break;
    lose(next - 1, 0);
    for (ModelHold& hold : holds)
      if (hold.state == "open" && hold.wallet == name && hold.expires == next) {
        give_back(hold.parts);
        hold.parts.clear();
        hold.state = "expired";
      }
    lose(next, next);
  }
  lose(now, 0);
  drop_empty();
}

}  // namespace purser::test
