// Texts for pricing pages.
#include "core/display.hpp"

namespace purser {
namespace {

// 1234567.5 → 1,234,567.5
std::string grouped(std::string number) {
  const std::size_t first_digit = number.starts_with('-') ? 1 : 0;
  const std::size_t point = number.find('.');
  std::size_t at = point == std::string::npos ? number.size() : point;
  while (at > first_digit + 3) number.insert(at -= 3, 1, ',');
  return number;
}

std::string quota_text(const QuotaRule& rule) {
  if (!rule.limit) return "Unlimited";
  if (*rule.limit == 0) return "Not included";
  const std::string amount = grouped(std::to_string(*rule.limit));
  if (rule.interval == Interval::lifetime) return amount + " in total";
  return amount + " a " + to_string(rule.interval);
}

}  // namespace

std::string display_text(const Feature& feature, const FeatureValue& value) {
  switch (value.kind) {
    case FeatureKind::quota:
      return quota_text(value.quota);
    case FeatureKind::toggle:
      return value.on ? "Included" : "Not included";
    case FeatureKind::number:
      return grouped(value.number.to_string()) + (feature.unit.empty() ? "" : " " + feature.unit);
    case FeatureKind::choice:
      break;
  }
  return value.choice;
}

bool is_included(const FeatureValue& value) {
  switch (value.kind) {
    case FeatureKind::quota:
      return value.quota.limit != 0;
    case FeatureKind::toggle:
      return value.on;
    case FeatureKind::number:
    case FeatureKind::choice:
      break;
  }
  return true;
}

}  // namespace purser
