// Rate limit buckets in the unlogged table purser.rate_bucket, for servers that do not preload
// purser. The same rule and the same answers; but each is part of the caller's transaction: other
// callers of a key wait until it ends, and what is rolled back was not counted.
#pragma once

#include <string_view>

#include "core/ratelimit.hpp"

namespace purser::rate_table {

RateDecision take(std::string_view owner, std::string_view scope, const RateLimit& limit,
                  std::int64_t cost, Instant now);

// What take() would decide. Counts nothing and locks nothing.
RateDecision look(std::string_view owner, std::string_view scope, const RateLimit& limit,
                  std::int64_t cost, Instant now);

void clear(std::string_view owner, std::string_view scope);

}  // namespace purser::rate_table
