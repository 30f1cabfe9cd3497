// What one feature needs of another before a plan may turn it on, declared as data:
// "requires": {"audio_pipeline": "auphonic", "exports": true, "minutes": {"minimum": 100}}.
#pragma once
#include "core/pure.hpp"

#include <vector>

#include "core/document.hpp"
#include "core/plan.hpp"

namespace purser {

// The member "requires" of a feature's declaration.
void read_requirements(const Json& declaration, const Place& place,
                       std::vector<Requirement>& needs);

// What is wrong with the requirements of all features together: unknown features and choices,
// values of the wrong kind, and features that need themselves, at once or over others.
std::vector<Violation> check_dependencies(const FeatureCatalog& catalog);

// Reports every feature the plan turns on (a switch that is on, a quota other than 0, a number or
// choice other than its default) without giving what it needs.
void require_dependencies(const PlanVersion& plan, const FeatureCatalog& catalog,
                          const Place& features);

}  // namespace purser
