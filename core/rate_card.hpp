// Rate cards: what operations cost, as a document that people write. Reading and validating it.
#pragma once
#include "core/pure.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/amount.hpp"
#include "core/period.hpp"
#include "core/violation.hpp"

namespace purser {

// How a quantity is rounded before it is priced: to a multiple of `step`, each quantity of a batch
// by itself or their sum once.
struct Rounding {
  enum class Mode { none, up, nearest };
  Mode mode = Mode::none;
  Amount step = Amount::from_micros(Amount::unit);
  bool whole_batch = false;
};
const char* to_string(Rounding::Mode mode);
bool parse_rounding(std::string_view text, Rounding::Mode& mode);

// What a modifier does to a price: (fees + `add` + (rate + `add_rate`) × quantity) × `multiply`.
struct Effect {
  Amount multiply = Amount::from_micros(Amount::unit);
  Amount add_rate;
  Amount add;
};

// A switch has one effect when it is on; a choice has one for each value.
struct Modifier {
  bool is_choice = false;
  Effect effect;
  std::map<std::string, Effect, std::less<>> choices;
};

// Units above the end of the tier before cost `rate`; the last tier has no end.
struct Tier {
  std::optional<Amount> up_to;
  Amount rate;
};

// What a plan may say otherwise.
struct PriceTerms {
  Amount rate;
  Amount flat;                     // once for a charge
  Amount minimum;                  // of a charge that costs anything
  Amount free;                     // units free in each period
  std::optional<Amount> included;  // units of each call that cost nothing
  bool refuse_beyond = false;      // more than `included` is refused
};

struct Operation {
  std::string name;
  std::string unit;
  Amount per = Amount::from_micros(Amount::unit);  // the rates are for so many units
  PriceTerms terms;
  std::map<std::string, PriceTerms, std::less<>> plans;
  Rounding rounding;
  std::map<std::string, Modifier, std::less<>> modifiers;
  std::vector<Tier> tiers;          // empty: `rate` alone
  bool whole_volume = false;        // the tier reached prices the whole charge
  std::optional<Interval> period;   // what free units and tiers count by
  std::vector<std::string> bundle;  // the operations it stands for
};

struct RateCard {
  std::string name;
  std::map<std::string, Operation, std::less<>> operations;
};

// Every violation at once; the card is usable when there is none.
std::vector<Violation> read_rate_card(std::string_view json, RateCard& card);

}  // namespace purser
