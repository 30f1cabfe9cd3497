// What an operation costs under a rate card, and why: a breakdown that the amount can be computed
// from again, by anybody, without the card.
//
//   amount = (flat + added + Σ (rate + added rates) × quantity / per) × multipliers, at least
//   minimum
//
// Everything is exact until the end, where the amount is rounded once to six decimals, half up.
// What is wholly free or included costs nothing, neither a flat fee nor a minimum.
#pragma once
#include "core/pure.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/rate_card.hpp"

namespace purser {

struct AppliedModifier {
  std::string name;
  std::optional<std::string> choice;  // absent for a switch
  Effect effect;
};

// Units that cost the same.
struct PricedPart {
  Amount quantity;
  Amount rate;
};

struct Breakdown {
  std::string card;
  int version = 0;
  std::string operation;
  std::string plan;
  std::string unit;
  std::vector<Amount> quantities;  // as asked
  Rounding rounding;
  std::optional<Amount> included;  // of each call
  Amount quantity;                 // rounded, without what is included
  Amount used;                     // in the period before this
  Amount free;                     // of `quantity`
  Amount per;
  std::vector<PricedPart> parts;
  Amount flat;
  std::vector<AppliedModifier> modifiers;
  Amount minimum;
  std::vector<std::string> bundle;
  Amount amount;
};

struct PriceRequest {
  std::string operation;
  std::vector<Amount> quantities;  // several for a batch
  std::string modifiers = "{}";    // JSON object
  std::string plan;
};

// PU012 for an operation the card does not have.
const Operation& operation_of(const RateCard& card, std::string_view name);

// `used`: units of the operation in the running period so far. PU010 beyond what the plan includes
// where that is refused, PU012 for unknown names, PU013 for quantities and amounts out of range,
// PU014 for modifiers of the wrong kind.
Breakdown price(const RateCard& card, const PriceRequest& request, Amount used);

// The amount that follows from the rest of the breakdown. PU013 when it does not fit.
Amount amount_of(const Breakdown& breakdown);

std::string to_json(const Breakdown& breakdown);

// nullopt for a document that is no breakdown of a price.
std::optional<Breakdown> read_breakdown(std::string_view json);

// The request the breakdown answers, to be priced again under another card.
PriceRequest request_of(const Breakdown& breakdown);

}  // namespace purser
