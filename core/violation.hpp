// One thing wrong with a document or with stored data.
#pragma once
#include "core/pure.hpp"

#include <string>
#include <vector>

namespace purser {

// `path` points into the document, e.g. "features.chat_messages.quota".
struct Violation {
  std::string path;
  std::string rule;     // stable word, e.g. "unknown_feature", "negative_quota", "wrong_kind"
  std::string message;  // for people, with the value
};

using Violations = std::vector<Violation>;

}  // namespace purser
