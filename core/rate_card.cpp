// Reads rate cards. What they come to is in pricing.
#include "core/rate_card.hpp"

#include <algorithm>

#include "core/document.hpp"

namespace purser {
namespace {

constexpr std::int64_t largest_multiplier = 1000;  // keeps exact products within 512 bits
constexpr std::size_t most_modifiers = 8;          // of one operation, for the same reason
constexpr std::size_t longest_name = 255;

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= longest_name &&
         std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

bool require_object(const Json& value, const Place& place) {
  if (value.type == JsonType::object) return true;
  place.wrong_kind("an object", value);
  return false;
}

// Reads the amount `name`, when it is given; false when it is not or cannot be used.
bool read_not_negative(const Json& object, const char* name, const Place& place, Amount& target) {
  const Json* value = given(object, name);
  if (!value) return false;
  const Place here = place.field(name);
  const std::optional<Amount> amount = read_amount(*value, here);
  if (!amount) return false;
  if (*amount < Amount()) {
    here.report("negative_amount", "must not be negative, not " + shown(*value));
    return false;
  }
  target = *amount;
  return true;
}

void read_positive(const Json& object, const char* name, const Place& place, Amount& target) {
  Amount amount;
  if (!read_not_negative(object, name, place, amount)) return;
  if (amount.is_positive())
    target = amount;
  else
    place.field(name).report("out_of_range", "must be greater than 0");
}

void read_terms(const Json& object, const Place& place, PriceTerms& terms) {
  read_not_negative(object, "rate", place, terms.rate);
  read_not_negative(object, "flat", place, terms.flat);
  read_not_negative(object, "minimum", place, terms.minimum);
  read_not_negative(object, "free", place, terms.free);
  Amount included;
  if (object.find("included") && !given(object, "included")) terms.included.reset();
  if (read_not_negative(object, "included", place, included)) terms.included = included;
  const Json* beyond = given(object, "beyond");
  if (!beyond) return;
  if (beyond->type != JsonType::string || (beyond->text != "charge" && beyond->text != "refuse"))
    place.field("beyond").report("unknown_word", "must be charge or refuse, not " + shown(*beyond));
  else
    terms.refuse_beyond = beyond->text == "refuse";
}

void require_terms(const PriceTerms& terms, const Operation& operation, const Place& place) {
  if (terms.refuse_beyond && !terms.included)
    place.field("beyond").report("missing_field", "refuses beyond what nothing says is included");
  if (terms.free.is_positive() && !operation.period)
    place.field("free").report("missing_field", "needs a period of the operation, such as month");
}

void read_plans(const Json& object, const Place& place, Operation& operation) {
  const Json* value = given(object, "plans");
  if (!value) return;
  const Place here = place.field("plans");
  if (!require_object(*value, here)) return;
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    const Json& item = value->items[i];
    const Place plan = here.field(value->names[i]);
    if (!require_object(item, plan)) continue;
    allow_only({"rate", "flat", "minimum", "free", "included", "beyond"}, item, plan);
    PriceTerms terms = operation.terms;
    read_terms(item, plan, terms);
    require_terms(terms, operation, plan);
    if (!operation.tiers.empty() && given(item, "rate"))
      plan.field("rate").report("conflict", "would be ignored, the tiers have the rates");
    operation.plans[value->names[i]] = terms;
  }
}

void read_rounding(const Json& object, const Place& place, Rounding& rounding) {
  const Json* value = given(object, "rounding");
  if (!value) return;
  const Place here = place.field("rounding");
  if (!require_object(*value, here)) return;
  allow_only({"mode", "step", "of"}, *value, here);
  const Json* mode = given(*value, "mode");
  if (!mode)
    here.field("mode").missing();
  else if (mode->type != JsonType::string || !parse_rounding(mode->text, rounding.mode))
    here.field("mode").report("unknown_word", "must be none, up or nearest, not " + shown(*mode));
  read_positive(*value, "step", here, rounding.step);
  const Json* of = given(*value, "of");
  if (!of) return;
  if (of->type != JsonType::string || (of->text != "call" && of->text != "batch"))
    here.field("of").report("unknown_word", "must be call or batch, not " + shown(*of));
  else
    rounding.whole_batch = of->text == "batch";
}

Effect read_effect(const Json& object, const Place& place) {
  Effect effect;
  if (!require_object(object, place)) return effect;
  allow_only({"multiply", "add_rate", "add"}, object, place);
  read_not_negative(object, "multiply", place, effect.multiply);
  if (effect.multiply.micros() > largest_multiplier * Amount::unit)
    place.field("multiply")
        .report("out_of_range", "must be at most 1000, not " + effect.multiply.to_string());
  read_not_negative(object, "add_rate", place, effect.add_rate);
  read_not_negative(object, "add", place, effect.add);
  return effect;
}

Modifier read_modifier(const Json& object, const Place& place) {
  Modifier modifier;
  if (!require_object(object, place)) return modifier;
  const Json* choices = given(object, "choices");
  modifier.is_choice = choices != nullptr;
  if (!choices) {
    modifier.effect = read_effect(object, place);
    return modifier;
  }
  allow_only({"choices"}, object, place);
  const Place here = place.field("choices");
  if (!require_object(*choices, here)) return modifier;
  for (std::size_t i = 0; i < choices->items.size(); ++i)
    modifier.choices[choices->names[i]] =
        read_effect(choices->items[i], here.field(choices->names[i]));
  return modifier;
}

void read_modifiers(const Json& object, const Place& place, Operation& operation) {
  const Json* value = given(object, "modifiers");
  if (!value) return;
  const Place here = place.field("modifiers");
  if (!require_object(*value, here)) return;
  if (value->items.size() > most_modifiers)
    here.report("too_many", "has " + std::to_string(value->items.size()) + " entries, at most " +
                                std::to_string(most_modifiers));
  for (std::size_t i = 0; i < value->items.size(); ++i)
    operation.modifiers[value->names[i]] =
        read_modifier(value->items[i], here.field(value->names[i]));
}

// The end of a tier lies above that of the one before; only the last has none.
void require_order(const std::vector<Tier>& tiers, bool last, const Place& place) {
  const std::optional<Amount>& end = tiers.back().up_to;
  if (last != !end)
    place.field("up_to").report("tiers", last ? "must be left out of the last tier" : "is missing");
  if (!end) return;
  const Amount before =
      tiers.size() < 2 ? Amount() : tiers[tiers.size() - 2].up_to.value_or(Amount());
  if (*end <= before)
    place.field("up_to").report(
        "tiers", "must be greater than " + before.to_string() + ", not " + end->to_string());
}

void read_tier(const Json& object, bool last, const Place& place, std::vector<Tier>& tiers) {
  if (!require_object(object, place)) return;
  allow_only({"up_to", "rate"}, object, place);
  Tier tier;
  Amount up_to;
  if (read_not_negative(object, "up_to", place, up_to)) tier.up_to = up_to;
  if (!given(object, "rate")) place.field("rate").missing();
  read_not_negative(object, "rate", place, tier.rate);
  tiers.push_back(tier);
  require_order(tiers, last, place);
}

void read_tiers(const Json& object, const Place& place, Operation& operation) {
  const Json* value = given(object, "tiers");
  if (!value) return;
  const Place here = place.field("tiers");
  if (!require_object(*value, here)) return;
  allow_only({"mode", "steps"}, *value, here);
  const Json* mode = given(*value, "mode");
  if (!mode)
    here.field("mode").missing();
  else if (mode->type != JsonType::string || (mode->text != "graduated" && mode->text != "volume"))
    here.field("mode").report("unknown_word", "must be graduated or volume, not " + shown(*mode));
  else
    operation.whole_volume = mode->text == "volume";
  const Json* steps = given(*value, "steps");
  const Place list = here.field("steps");
  if (!steps) return list.missing();
  if (steps->type != JsonType::array || steps->items.empty())
    return list.wrong_kind("an array of tiers", *steps);
  for (std::size_t i = 0; i < steps->items.size(); ++i)
    read_tier(steps->items[i], i + 1 == steps->items.size(), list.item(i, "tier"), operation.tiers);
  if (given(object, "rate"))
    place.field("rate").report("conflict", "would be ignored, the tiers have the rates");
}

void read_period(const Json& object, const Place& place, Operation& operation) {
  const Json* value = given(object, "period");
  if (!value) return;
  Interval interval = Interval::month;
  if (value->type == JsonType::string && parse_interval(value->text, interval))
    operation.period = interval;
  else
    place.field("period").report(
        "invalid_interval", "must be day, week, month, year or lifetime, not " + shown(*value));
}

void read_bundle(const Json& object, const Place& place, const std::vector<std::string>& known,
                 Operation& operation) {
  const Json* value = given(object, "bundle");
  if (!value) return;
  const Place here = place.field("bundle");
  if (value->type != JsonType::array || value->items.size() < 2)
    return here.wrong_kind("an array of two operations or more", *value);
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    const Json& part = value->items[i];
    const Place item = here.item(i, "part");
    if (part.type != JsonType::string)
      item.wrong_kind("the name of an operation", part);
    else if (part.text == operation.name || !contains(known, part.text))
      item.report("unknown_operation", "must be another operation of the card, not " + shown(part));
    else if (contains(operation.bundle, part.text))
      item.report("duplicate_key", shown(part) + " is given twice");
    else
      operation.bundle.push_back(part.text);
  }
}

void read_operation(const Json& object, const Place& place, const std::vector<std::string>& known,
                    Operation& operation) {
  if (!is_name(operation.name))
    place.report("invalid_name", "must be 1 to 255 bytes without control characters");
  if (!require_object(object, place)) return;
  allow_only({"unit", "per", "rate", "flat", "minimum", "free", "included", "beyond", "plans",
              "rounding", "modifiers", "tiers", "period", "bundle", "description"},
             object, place);
  if (!given(object, "unit")) place.field("unit").missing();
  read_text(object, "unit", place, operation.unit);
  std::string description;
  read_text(object, "description", place, description);
  read_positive(object, "per", place, operation.per);
  read_terms(object, place, operation.terms);
  read_period(object, place, operation);
  require_terms(operation.terms, operation, place);
  read_rounding(object, place, operation.rounding);
  read_modifiers(object, place, operation);
  read_tiers(object, place, operation);
  read_plans(object, place, operation);
  read_bundle(object, place, known, operation);
  if (!given(object, "rate") && !given(object, "tiers") && !given(object, "flat") &&
      !given(object, "plans"))
    place.field("rate").missing();
}

void read_operations(const Json& document, const Place& place, RateCard& card) {
  const Json* value = given(document, "operations");
  const Place here = place.field("operations");
  if (!value) return here.missing();
  if (!require_object(*value, here)) return;
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    Operation& operation = card.operations[value->names[i]];
    operation.name = value->names[i];
    read_operation(value->items[i], here.field(operation.name), value->names, operation);
  }
}

}  // namespace

const char* to_string(Rounding::Mode mode) {
  switch (mode) {
    case Rounding::Mode::none:
      return "none";
    case Rounding::Mode::up:
      return "up";
    case Rounding::Mode::nearest:
      break;
  }
  return "nearest";
}

bool parse_rounding(std::string_view text, Rounding::Mode& mode) {
  for (Rounding::Mode known : {Rounding::Mode::none, Rounding::Mode::up, Rounding::Mode::nearest}) {
    if (text != to_string(known)) continue;
    mode = known;
    return true;
  }
  return false;
}

std::vector<Violation> read_rate_card(std::string_view json, RateCard& card) {
  Violations violations;
  RateCard read;
  if (const std::optional<Json> document = read_document(json, violations)) {
    const Place place("", "rate card", violations);
    allow_only({"name", "description", "operations"}, *document, place);
    read_text(*document, "name", place, read.name);
    std::string description;
    read_text(*document, "description", place, description);
    read_operations(*document, place, read);
  }
  card = std::move(read);
  return violations;
}

}  // namespace purser
