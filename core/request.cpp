// Reads what one call asks for at once.
#include "core/request.hpp"

#include "core/document.hpp"
#include "core/error.hpp"

namespace purser {
namespace {

constexpr char example[] = "For example {\"minutes\": 10, \"interviews\": 1}.";

std::int64_t read_positive(const std::string& feature, const Json& value) {
  const auto amount = value.type == JsonType::integer ? to_int64(value.text) : std::nullopt;
  if (amount && *amount > 0) return *amount;
  throw Error(
      sqlstate::invalid_amount,
      "amount of feature \"" + feature + "\" must be a positive whole number, got " + shown(value),
      {}, example);
}

}  // namespace

Amounts read_amounts(std::string_view json) {
  Violations violations;
  const std::optional<Json> document = read_document(json, violations);
  if (!document)
    throw Error(sqlstate::invalid_argument, "amounts: " + violations.front().message,
                "Amounts are a JSON object of feature and amount.", example);
  if (document->items.empty())
    throw Error(sqlstate::invalid_argument, "amounts name no feature", {}, example);
  if (document->items.size() > most_amounts)
    throw Error(sqlstate::limit_reached,
                "amounts name " + std::to_string(document->items.size()) + " features",
                "At most " + std::to_string(most_amounts) + " are decided in one call.",
                "Split the call.");
  Amounts amounts;
  for (std::size_t i = 0; i < document->items.size(); ++i)
    amounts[document->names[i]] = read_positive(document->names[i], document->items[i]);
  return amounts;
}

}  // namespace purser
