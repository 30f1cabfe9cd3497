// Idempotency keys of calls that counted, and the answers a retry gets.
#pragma once

#include <optional>
#include <string>

#include "core/canonical.hpp"
#include "extension/decision.hpp"

namespace purser {

// A key as a request carries it. Without one nothing is remembered.
struct IdempotencyKey {
  std::string account_id;
  std::optional<std::string> key;
  Digest fingerprint{};  // of the request, never of what was decided on it
};

// The answers given before under the key. PU005 when it was used for another request.
std::optional<Answers> remembered(const IdempotencyKey& key);

// Keeps the answers for as long as the counts they speak of: in the same transaction, and for ever.
void remember(const IdempotencyKey& key, const Answers& answers, Instant now);

}  // namespace purser
