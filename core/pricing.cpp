// Prices operations: see pricing.hpp.
#include "core/pricing.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "core/document.hpp"
#include "core/error.hpp"

namespace purser {
namespace {

// A number of 512 bits, without sign: the exact product of two amounts and eight multipliers.
class Wide {
 public:
  explicit Wide(std::uint64_t value = 0) { limbs_[0] = value; }

  Wide& operator*=(std::uint64_t factor) {
    unsigned __int128 carry = 0;
    for (std::uint64_t& limb : limbs_) {
      carry += static_cast<unsigned __int128>(limb) * factor;
      limb = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
    return *this;
  }

  Wide& operator+=(const Wide& other) {
    unsigned __int128 carry = 0;
    for (std::size_t i = 0; i < limbs_.size(); ++i) {
      carry += static_cast<unsigned __int128>(limbs_[i]) + other.limbs_[i];
      limbs_[i] = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
    return *this;
  }

  // Rounds down; dividing by a and then by b is dividing by a × b.
  Wide& operator/=(std::uint64_t divisor) {
    unsigned __int128 rest = 0;
    for (std::size_t i = limbs_.size(); i-- > 0;) {
      rest = rest << 64 | limbs_[i];
      limbs_[i] = static_cast<std::uint64_t>(rest / divisor);
      rest %= divisor;
    }
    return *this;
  }

  // As an amount, in millionths; PU013 when it is too large for one.
  Amount to_amount() const {
    const bool large =
        std::any_of(limbs_.begin() + 1, limbs_.end(), [](std::uint64_t limb) { return limb != 0; });
    if (large || limbs_[0] > static_cast<std::uint64_t>(INT64_MAX))
      throw Error(sqlstate::invalid_amount, "the price is out of range",
                  "An amount lies between -9223372036854.775808 and 9223372036854.775807.",
                  "Charge smaller quantities.");
    return Amount::from_micros(static_cast<std::int64_t>(limbs_[0]));
  }

 private:
  std::array<std::uint64_t, 8> limbs_{};
};

std::uint64_t micros(Amount amount) {
  return static_cast<std::uint64_t>(amount.micros());  // never negative here
}

Wide product(Amount a, Amount b) {
  return Wide(micros(a)) *= micros(b);
}

Amount rounded(Amount quantity, const Rounding& rounding) {
  if (rounding.mode == Rounding::Mode::none) return quantity;
  const std::int64_t step = rounding.step.micros();
  const std::int64_t rest = quantity.micros() % step;
  if (rest == 0) return quantity;
  const Amount down = quantity - Amount::from_micros(rest);
  const bool up = rounding.mode == Rounding::Mode::up || rest >= step - rest;
  return up ? down + rounding.step : down;
}

// What there is to pay for, before anything is free.
Amount quantity_of(const Breakdown& b) {
  Amount sum;
  for (Amount quantity : b.quantities) {
    if (!b.rounding.whole_batch) quantity = rounded(quantity, b.rounding);
    sum += std::max(Amount(), quantity - b.included.value_or(Amount()));
  }
  return b.rounding.whole_batch ? rounded(sum, b.rounding) : sum;
}

[[noreturn]] void refuse_beyond(const Breakdown& b, Amount quantity) {
  throw Error(sqlstate::not_permitted,
              "operation \"" + b.operation + "\" takes at most " + b.included->to_string() + " " +
                  b.unit + " on plan \"" + b.plan + "\", not " + quantity.to_string(),
              "The rate card refuses what is beyond the plan's part.",
              "Ask for less, or change to a plan with more.");
}

void require_within(const Breakdown& b) {
  for (const Amount quantity : b.quantities)
    if (quantity > *b.included) refuse_beyond(b, quantity);
}

// ---- modifiers ----------------------------------------------------------------------------------

[[noreturn]] void unknown_modifier(const Operation& operation, const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [code, modifier] : operation.modifiers) known.push_back(code);
  throw Error(
      sqlstate::unknown_name,
      "operation \"" + operation.name + "\" has no modifier \"" + name.substr(0, 255) + "\"",
      known.empty() ? "It has none at all." : "It has " + list_of(known) + ".",
      "Name modifiers as the rate card does.");
}

AppliedModifier chosen(const std::string& name, const Modifier& modifier, const Json& value) {
  const auto found =
      value.type == JsonType::string ? modifier.choices.find(value.text) : modifier.choices.end();
  if (found != modifier.choices.end()) return {name, found->first, found->second};
  std::vector<std::string> known;
  for (const auto& [choice, effect] : modifier.choices) known.push_back(choice);
  throw Error(value.type == JsonType::string ? sqlstate::unknown_name : sqlstate::invalid_argument,
              "modifier \"" + name + "\" has no choice " + shown(value),
              "Its choices are " + list_of(known) + ".", "Pass one of them.");
}

bool is_on(const std::string& name, const Json& value) {
  if (value.type == JsonType::boolean) return value.text == "true";
  throw Error(sqlstate::invalid_argument,
              "modifier \"" + name + "\" must be true or false, not " + shown(value), {},
              "Pass true for a modifier that applies.");
}

std::vector<AppliedModifier> applied(const Operation& operation, const std::string& json) {
  Violations violations;
  const std::optional<Json> document = read_document(json, violations);
  if (!document || !violations.empty())
    throw Error(sqlstate::invalid_argument, "modifiers must be a JSON object",
                violations.empty() ? "" : violations[0].message,
                "For example {\"audio\": \"advanced\"}.");
  std::vector<AppliedModifier> list;
  for (std::size_t i = 0; i < document->items.size(); ++i) {
    const std::string& name = document->names[i];
    const Json& value = document->items[i];
    const auto found = operation.modifiers.find(name);
    if (found == operation.modifiers.end()) unknown_modifier(operation, name);
    if (value.type == JsonType::null) continue;
    if (found->second.is_choice)
      list.push_back(chosen(name, found->second, value));
    else if (is_on(name, value))
      list.push_back({name, std::nullopt, found->second.effect});
  }
  return list;
}

// ---- tiers --------------------------------------------------------------------------------------

// Each unit at the rate of the tier it falls into.
std::vector<PricedPart> graduated(const std::vector<Tier>& tiers, Amount before, Amount billed) {
  std::vector<PricedPart> parts;
  const Amount end = before + billed;
  Amount from;
  for (const Tier& tier : tiers) {
    const Amount to = std::min(tier.up_to.value_or(end), end);
    const Amount start = std::max(from, before);
    if (to > start) parts.push_back({to - start, tier.rate});
    if (tier.up_to) from = *tier.up_to;
  }
  return parts;
}

// All units at the rate of the tier that the last one falls into.
std::vector<PricedPart> at_volume(const std::vector<Tier>& tiers, Amount before, Amount billed) {
  const Amount end = before + billed;
  for (const Tier& tier : tiers)
    if (!tier.up_to || end <= *tier.up_to) return {{billed, tier.rate}};
  return {};
}

std::vector<PricedPart> parts_of(const Operation& operation, Amount rate, Amount before,
                                 Amount billed) {
  if (!billed.is_positive()) return {};
  if (operation.tiers.empty()) return {{billed, rate}};
  return operation.whole_volume ? at_volume(operation.tiers, before, billed)
                                : graduated(operation.tiers, before, billed);
}

// ---- breakdowns as JSON -------------------------------------------------------------------------

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Builds an object member by member; numbers stay as exact as they are.
class Object {
 public:
  Object& raw(const char* name, const std::string& json) {
    text_ += (text_.empty() ? "" : ", ") + ('"' + std::string(name)) + "\": " + json;
    return *this;
  }
  Object& add(const char* name, const std::string& text) { return raw(name, json_text(text)); }
  Object& add(const char* name, Amount amount) { return raw(name, amount.to_string()); }
  std::string json() const { return '{' + text_ + '}'; }

 private:
  std::string text_;
};

template <class Items, class Show>
std::string json_list(const Items& items, Show show) {
  std::string list;
  for (const auto& item : items) list += (list.empty() ? "" : ", ") + show(item);
  return '[' + list + ']';
}

std::string modifier_json(const AppliedModifier& modifier) {
  Object object;
  object.add("name", modifier.name);
  object.raw("value", modifier.choice ? json_text(*modifier.choice) : "true");
  return object.add("multiply", modifier.effect.multiply)
      .add("add_rate", modifier.effect.add_rate)
      .add("add", modifier.effect.add)
      .json();
}

std::string rounding_json(const Rounding& rounding) {
  return Object()
      .add("mode", std::string(to_string(rounding.mode)))
      .add("step", rounding.step)
      .add("of", std::string(rounding.whole_batch ? "batch" : "call"))
      .json();
}

// Reads the members of a breakdown; what is missing or of another kind makes it no breakdown.
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {}

  const Json* member(const char* name, JsonType type) {
    const Json* value = object_.find(name);
    if (value && value->type == type) return value;
    good_ = false;
    return nullptr;
  }
  std::string text(const char* name) {
    const Json* value = member(name, JsonType::string);
    return value ? value->text : std::string();
  }
  Amount amount(const char* name) {
    const Json* value = object_.find(name);
    return value ? number(*value) : fail();
  }
  Amount number(const Json& value) {
    if (value.type != JsonType::integer && value.type != JsonType::decimal) return fail();
    try {
      const Amount amount = Amount::parse(value.text);
      return amount < Amount() ? fail() : amount;
    } catch (const Error&) {
      return fail();
    }
  }
  Amount fail() {
    good_ = false;
    return {};
  }
  std::vector<Json> items(const char* name) {
    const Json* value = member(name, JsonType::array);
    return value ? value->items : std::vector<Json>();
  }
  bool good() const { return good_; }

 private:
  const Json& object_;
  bool good_ = true;
};

bool read_into(Rounding& rounding, const Json& object) {
  Reader reader(object);
  const bool known = parse_rounding(reader.text("mode"), rounding.mode);
  rounding.step = reader.amount("step");
  rounding.whole_batch = reader.text("of") == "batch";
  return known && reader.good() && rounding.step.is_positive();
}

bool read_into(AppliedModifier& modifier, const Json& object) {
  Reader reader(object);
  modifier.name = reader.text("name");
  if (const Json* value = object.find("value"))
    if (value->type == JsonType::string) modifier.choice = value->text;
  modifier.effect = {reader.amount("multiply"), reader.amount("add_rate"), reader.amount("add")};
  return reader.good();
}

bool read_into(PricedPart& part, const Json& object) {
  Reader reader(object);
  part = {reader.amount("quantity"), reader.amount("rate")};
  return reader.good();
}

template <class Item>
bool read_list(std::vector<Item>& list, const std::vector<Json>& items) {
  for (const Json& item : items)
    if (!read_into(list.emplace_back(), item)) return false;
  return true;
}

}  // namespace

const Operation& operation_of(const RateCard& card, std::string_view name) {
  const auto found = card.operations.find(name);
  if (found != card.operations.end()) return found->second;
  throw Error(sqlstate::unknown_name, "unknown operation \"" + std::string(name) + "\"",
              "Rate card \"" + card.name + "\" does not price it.",
              "purser.rate_card() shows the operations in force.");
}

Breakdown price(const RateCard& card, const PriceRequest& request, Amount used) {
  const Operation& operation = operation_of(card, request.operation);
  for (const Amount quantity : request.quantities) require_positive(quantity, "quantity");
  const auto plan = operation.plans.find(request.plan);
  const PriceTerms& terms = plan == operation.plans.end() ? operation.terms : plan->second;
  Breakdown b;
  b.operation = operation.name;
  b.plan = request.plan;
  b.unit = operation.unit;
  b.quantities = request.quantities;
  b.rounding = operation.rounding;
  b.included = terms.included;
  b.per = operation.per;
  b.flat = terms.flat;
  b.minimum = terms.minimum;
  b.bundle = operation.bundle;
  b.modifiers = applied(operation, request.modifiers);
  if (terms.refuse_beyond) require_within(b);
  b.quantity = quantity_of(b);
  if (operation.period) b.used = used;
  b.free = std::min(b.quantity, std::max(Amount(), terms.free - b.used));
  const Amount paid_before = std::max(Amount(), b.used - terms.free);
  b.parts = parts_of(operation, terms.rate, paid_before, b.quantity - b.free);
  b.amount = amount_of(b);
  return b;
}

Amount amount_of(const Breakdown& b) {
  if (!(quantity_of(b) - b.free).is_positive()) return {};
  Amount fees = b.flat;
  Amount added_rate;
  for (const AppliedModifier& m : b.modifiers) {
    fees += m.effect.add;
    added_rate += m.effect.add_rate;
  }
  Wide sum = product(fees, b.per);
  for (const PricedPart& part : b.parts) sum += product(part.rate + added_rate, part.quantity);
  sum *= 2;  // for the half that rounds up
  for (const AppliedModifier& m : b.modifiers) sum *= micros(m.effect.multiply);
  for (std::size_t i = 0; i < b.modifiers.size(); ++i) sum /= Amount::unit;
  sum /= micros(b.per);
  sum += Wide(1);
  sum /= 2;
  return std::max(b.minimum, sum.to_amount());
}

std::string to_json(const Breakdown& b) {
  const auto amount = [](Amount a) { return a.to_string(); };
  const auto part = [](const PricedPart& p) {
    return Object().add("quantity", p.quantity).add("rate", p.rate).json();
  };
  Object object;
  object.add("rate_card", b.card).raw("version", std::to_string(b.version));
  object.add("operation", b.operation).add("plan", b.plan).add("unit", b.unit);
  object.raw("quantities", json_list(b.quantities, amount));
  object.raw("rounding", rounding_json(b.rounding));
  if (b.included) object.add("included", *b.included);
  object.add("quantity", b.quantity).add("used", b.used).add("free", b.free).add("per", b.per);
  object.raw("parts", json_list(b.parts, part)).add("flat", b.flat);
  object.raw("modifiers", json_list(b.modifiers, modifier_json)).add("minimum", b.minimum);
  if (!b.bundle.empty()) object.raw("bundle", json_list(b.bundle, json_text));
  return object.add("amount", b.amount).json();
}

std::optional<Breakdown> read_breakdown(std::string_view json) {
  Violations violations;
  const std::optional<Json> document = read_document(json, violations);
  if (!document || !violations.empty()) return std::nullopt;
  Reader reader(*document);
  Breakdown b;
  b.card = reader.text("rate_card");
  reader.amount("version");
  if (const Json* version = document->find("version"))
    b.version = static_cast<int>(to_int64(version->text).value_or(0));
  b.operation = reader.text("operation");
  b.plan = reader.text("plan");
  b.unit = reader.text("unit");
  for (const Json& item : reader.items("quantities")) b.quantities.push_back(reader.number(item));
  if (document->find("included")) b.included = reader.amount("included");
  b.quantity = reader.amount("quantity");
  b.used = reader.amount("used");
  b.free = reader.amount("free");
  b.per = reader.amount("per");
  b.flat = reader.amount("flat");
  b.minimum = reader.amount("minimum");
  b.amount = reader.amount("amount");
  const Json* rounding = reader.member("rounding", JsonType::object);
  const bool read = rounding && read_into(b.rounding, *rounding) &&
                    read_list(b.parts, reader.items("parts")) &&
                    read_list(b.modifiers, reader.items("modifiers"));
  return read && reader.good() && b.per.is_positive() ? std::optional(b) : std::nullopt;
}

PriceRequest request_of(const Breakdown& b) {
  std::string modifiers;
  for (const AppliedModifier& m : b.modifiers)
    modifiers += (modifiers.empty() ? "" : ", ") + json_text(m.name) + ": " +
                 (m.choice ? json_text(*m.choice) : "true");
  return {b.operation, b.quantities, '{' + modifiers + '}', b.plan};
}

}  // namespace purser
