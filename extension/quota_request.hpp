// Several quotas in one call: all of them are counted, or none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/request.hpp"
#include "extension/entitlement.hpp"
#include "extension/quota_keys.hpp"

namespace purser {

// The counters of a request, locked in the order of their features and decided on.
struct RequestedQuotas {
  std::vector<Counter> counters;
  std::vector<std::int64_t> amounts;
  Answers answers;  // in the order of the counters

  bool allowed() const;
  // Counts and stores every amount, and replaces the answers by those after counting.
  void count(Instant now);
};

// As they stand, without a lock.
RequestedQuotas foresee_quotas(const std::string& account_id, const Amounts& amounts,
                               Catalog& plans, Instant now);
RequestedQuotas lock_quotas(const std::string& account_id, const Amounts& amounts, Catalog& plans,
                            Instant now);

}  // namespace purser
