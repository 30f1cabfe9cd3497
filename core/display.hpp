// What a plan gives, in the words of a pricing page.
#pragma once
#include "core/pure.hpp"

#include <string>

#include "core/plan.hpp"

namespace purser {

// "Unlimited", "2,000 a month", "5 in total", "Not included", "Included", "1.5 GB", "auphonic".
std::string display_text(const Feature& feature, const FeatureValue& value);

// Whether the plan has the feature at all: the switch is on, the quota is not 0.
bool is_included(const FeatureValue& value);

}  // namespace purser
