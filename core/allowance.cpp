// Reading allowances from plan documents, and the arithmetic of rolling over.
#include "core/allowance.hpp"

#include <algorithm>

namespace purser {
namespace {

constexpr int longest_rollover_days = 3660;
constexpr std::int64_t most_percent = 100;
constexpr std::int64_t largest_multiple = 1000;
constexpr std::size_t longest_wallet = 255;

bool is_wallet(const std::string& name) {
  return !name.empty() && name.size() <= longest_wallet &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

void read_allowance_amount(const Json& object, const Place& place, Amount& amount) {
  const Place here = place.field("allowance");
  const Json* value = given(object, "allowance");
  if (!value) return here.missing();
  const std::optional<Amount> read = read_amount(*value, here);
  if (!read) return;
  if (*read >= Amount())
    amount = *read;
  else
    here.report("out_of_range", "must not be negative, not " + shown(*value));
}

void read_percent(const Json& object, const Place& place, Amount& percent) {
  const Place here = place.field("percent");
  const Json* value = given(object, "percent");
  percent = Amount::from_micros(most_percent * Amount::unit);
  if (!value) return;
  const std::optional<Amount> read = read_amount(*value, here);
  if (!read) return;
  if (read->is_positive() && *read <= percent)
    percent = *read;
  else
    here.report("out_of_range", "must be above 0 and at most 100, not " + shown(*value));
}

void read_max_multiple(const Json& object, const Place& place, std::optional<Amount>& multiple) {
  const Json* value = given(object, "max_multiple");
  if (!value) return;
  const Place here = place.field("max_multiple");
  const std::optional<Amount> read = read_amount(*value, here);
  if (!read) return;
  if (read->is_positive() && read->micros() <= largest_multiple * Amount::unit)
    multiple = read;
  else
    here.report("out_of_range", "must be above 0 and at most " + std::to_string(largest_multiple) +
                                    ", not " + shown(*value));
}

void read_rollover(const Json& object, const Place& place, Rollover& rollover) {
  const Json* value = given(object, "rollover");
  if (!value) return;
  const Place here = place.field("rollover");
  if (value->type != JsonType::object)
    return here.wrong_kind("an object, or null for nothing", *value);
  allow_only({"percent", "max_multiple", "days"}, *value, here);
  read_percent(*value, here, rollover.percent);
  read_max_multiple(*value, here, rollover.max_multiple);
  if (const Json* days = given(*value, "days")) {
    int read = 1;
    read_integer(*days, 1, longest_rollover_days, here.field("days"), read);
    rollover.days = read;
  }
}

}  // namespace

void read_plan_credits(const Json& document, const Place& place, PlanCredits& credits) {
  const Json* value = given(document, "credits");
  if (!value) return;
  const Place all = place.field("credits");
  if (value->type != JsonType::object) return all.wrong_kind("an object of wallets", *value);
  for (std::size_t i = 0; i < value->items.size(); ++i) {
    const Json& item = value->items[i];
    const Place here = all.field(value->names[i]);
    if (!is_wallet(value->names[i]))
      here.report("invalid_wallet", "must be 1 to 255 bytes of printable text");
    if (item.type != JsonType::object) {
      here.wrong_kind("an object", item);
      continue;
    }
    allow_only({"allowance", "rollover"}, item, here);
    Allowance& allowance = credits[value->names[i]];
    read_allowance_amount(item, here, allowance.amount);
    read_rollover(item, here, allowance.rollover);
  }
}

// Amounts are below 2^63 millionths, percent and multiple below 2^30: products fit in 128 bits.
Amount rolled_over(const Allowance& allowance, Amount unused, Amount rolled_over_before) {
  using Wide = __int128;
  const Rollover& rollover = allowance.rollover;
  const Wide percent_unit = Wide{100} * Amount::unit;
  Wide share = Wide{unused.micros()} * rollover.percent.micros() / percent_unit;
  if (rollover.max_multiple) {
    const Wide most =
        Wide{allowance.amount.micros()} * rollover.max_multiple->micros() / Amount::unit;
    share = std::min(share, std::max<Wide>(0, most - rolled_over_before.micros()));
  }
  return Amount::from_micros(static_cast<std::int64_t>(share));
}

}  // namespace purser
