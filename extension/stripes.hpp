// Hot counters: one (account, feature) counted in several rows, its stripes, so that those who
// count do not wait for one another's commit. See docs/architecture.md, "Hot counters".
//
// A session counts on its own stripe while that has units allotted. The exact sum is known only to
// whoever holds the counter's row in purser.entitlement (the gate) and, after it, all stripes; only
// there units are allotted and refusals decided, unless one snapshot of all these rows proves one.
//
// Locks: the entitlement, then its stripes by number. A stripe alone is locked by writing it, never
// by waiting for it: nobody comes to the gate with a stripe that the same call locked.
#pragma once

#include <string>

#include "core/quota.hpp"
#include "extension/pg/row.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

// The stripes of one counter as the running command's snapshot shows them, and this session's own.
class HomeStripe {
 public:
  HomeStripe(const std::string& account_id, const std::string& feature, int stripes);

  bool found() const { return found_; }
  // Of all stripes, at one instant.
  std::int64_t used() const { return used_; }
  // Whether the units are this session's to give, for who decides by the rule.
  bool may_give(std::int64_t amount, const QuotaRule& rule, Instant now) const;
  // Counts them. False, with nothing written or locked, when another transaction was faster.
  bool give(std::int64_t amount);

 private:
  pg::KeyedRow row_;
  bool found_ = false;
  std::int64_t used_ = 0;
};

// What the stripes have counted, as the active snapshot shows it.
std::int64_t seen_in_stripes(const std::string& account_id, const std::string& feature);

// The same, exact, with all stripes locked until the transaction ends. The gate is the caller's.
std::int64_t lock_stripes(const std::string& account_id, const std::string& feature);

// With the stripes locked, after the counter's row has taken up what they counted: starts them from
// zero, with `units` shared out among them.
void allot(const std::string& account_id, const std::string& feature, int stripes,
           std::int64_t units, const QuotaRule& rule, Instant fresh_until);

// Makes so many stripes, and deletes those beyond.
void set_stripes(const std::string& account_id, const std::string& feature, int stripes);

// Every call about the account comes to the gate, until units are allotted anew.
void close_stripes(const std::string& account_id);

}  // namespace purser
