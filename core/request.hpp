// What one call asks for at once: amounts of several features, as the JSON an application sends.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace purser {

// By feature, in the order in which their counters are locked.
using Amounts = std::map<std::string, std::int64_t, std::less<>>;

inline constexpr std::size_t most_amounts = 100;

// Reads {"minutes": 10, "interviews": 1}. Throws PU014 for anything that is not such an object or
// names no feature, PU013 for amounts that are not whole and positive, PU015 above `most_amounts`.
Amounts read_amounts(std::string_view json);

}  // namespace purser
