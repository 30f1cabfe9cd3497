// Rate cards are read with everything wrong in them at once, and prices are exact: the figures of
// the example cards, and for random cards the same as arithmetic with big fractions.
#include "core/pricing.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "random.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

Amount amount(const char* text) {
  return Amount::parse(text);
}

RateCard card_of(const std::string& json) {
  RateCard card;
  for (const Violation& v : read_rate_card(json, card))
    ADD_FAILURE() << v.path << ": " << v.message;
  return card;
}

RateCard example(const char* name) {
  std::ifstream file(std::string(PURSER_SOURCE) + "/examples/rate_cards/" + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  return card_of(text.str());
}

std::string cost(const RateCard& card, const char* operation, const std::vector<const char*>& of,
                 const char* modifiers = "{}", const char* plan = "free", const char* used = "0") {
  PriceRequest request{operation, {}, modifiers, plan};
  for (const char* quantity : of) request.quantities.push_back(amount(quantity));
  return price(card, request, amount(used)).amount.to_string();
}

RateCard single(const std::string& operation) {
  return card_of(R"({"operations": {"x": )" + operation + "}}");
}

TEST(ExampleCards, Seconds) {
  const RateCard card = example("seconds");
  EXPECT_EQ(cost(card, "transcription", {"90"}), "90");
  EXPECT_EQ(cost(card, "transcription", {"90"}, R"({"audio": "advanced"})"), "180");
  EXPECT_EQ(cost(card, "assembly", {"60"}), "180");
  EXPECT_EQ(cost(card, "tts", {"1.25"}), "1.25");  // unrounded
  const std::pair<const char*, const char*> premium[] = {{"starter", "15"},
                                                         {"creator", "14"},
                                                         {"pro", "13"},
                                                         {"executive", "12"},
                                                         {"enterprise", "12"}};
  for (const auto& [plan, rate] : premium)
    EXPECT_EQ(cost(card, "premium_tts", {"0.2"}, "{}", plan), rate);
  EXPECT_EQ(cost(card, "premium_tts", {"1.2", "1.2", "1.2"}, "{}", "pro"), "52");
  EXPECT_EQ(cost(card, "premium_tts", {"1.2"}, "{}", "pro"), "26");
  EXPECT_EQ(cost(card, "overlength", {"5400"}, "{}", "creator"), "600");
  EXPECT_EQ(cost(card, "overlength", {"4800"}, "{}", "creator"), "0");
  EXPECT_EQ(cost(card, "overlength", {"2400"}, "{}", "starter"), "0");
  EXPECT_EQ(cost(card, "overlength", {"7201"}, "{}", "pro"), "1");
  EXPECT_EQ(cost(card, "overlength", {"14402"}, "{}", "enterprise"), "2");
  EXPECT_TRUE(test::refused_with(sqlstate::not_permitted,
                                 [&] { cost(card, "overlength", {"2401"}, "{}", "starter"); }));
  EXPECT_EQ(cost(card, "storage", {"2.5"}), "5");
}

TEST(ExampleCards, Minutes) {
  const RateCard card = example("minutes");
  const auto episode = [&](const char* pipeline, const char* voice) {
    return (amount(cost(card, "processing", {"10"}, pipeline).c_str()) +
            amount(cost(card, "tts", {"0.5"}, voice).c_str()) +
            amount(cost(card, "tts", {"0.5"}, voice).c_str()) +
            amount(cost(card, "assembly", {"10.5"}, pipeline).c_str()))
        .to_string();
  };
  EXPECT_EQ(episode("{}", "{}"), "26.75");
  EXPECT_EQ(episode(R"({"pipeline": "advanced"})", R"({"voice": "premium"})"), "55");
}

TEST(ExampleCards, Cents) {
  const RateCard card = example("cents");
  EXPECT_EQ(cost(card, "assembly", {"30"}), "150");
  EXPECT_EQ(cost(card, "transcription", {"30"}), "25");
  EXPECT_EQ(cost(card, "title", {"1"}), "10");
  EXPECT_EQ(cost(card, "description", {"1"}), "15");  // together 200
  EXPECT_EQ(cost(card, "tags", {"1"}), "10");
  EXPECT_EQ(cost(card, "metadata", {"1"}), "30");
  EXPECT_EQ(cost(card, "cleanup", {"60"}), "20");
  EXPECT_EQ(cost(card, "site", {"1"}), "100");
  EXPECT_EQ(cost(card, "section", {"2"}), "30");
  EXPECT_EQ(cost(card, "tts", {"5000"}), "0");
  EXPECT_EQ(cost(card, "tts", {"6000"}), "5");
  EXPECT_EQ(cost(card, "tts", {"2000"}, "{}", "free", "4000"), "5");
  EXPECT_EQ(cost(card, "tts", {"1000"}, "{}", "free", "5000"), "5");
}

TEST(Pricing, RoundsQuantities) {
  const auto with = [](const char* rounding) {
    return single(std::string(R"({"unit": "s", "rate": 1, "rounding": )") + rounding + "}");
  };
  EXPECT_EQ(cost(with(R"({"mode": "up"})"), "x", {"1.2", "1.2", "1.2"}), "6");
  EXPECT_EQ(cost(with(R"({"mode": "up", "of": "batch"})"), "x", {"1.2", "1.2", "1.2"}), "4");
  EXPECT_EQ(cost(with(R"({"mode": "nearest"})"), "x", {"1.5", "1.499999"}), "3");
  EXPECT_EQ(cost(with(R"({"mode": "up", "step": 0.25})"), "x", {"1.01"}), "1.25");
  EXPECT_EQ(cost(with(R"({"mode": "up", "step": 6})"), "x", {"12"}), "12");
  EXPECT_EQ(cost(with(R"({"mode": "none"})"), "x", {"0.000001"}), "0.000001");
}

TEST(Pricing, RoundsTheAmountOnceHalfUp) {
  EXPECT_EQ(cost(single(R"({"unit": "s", "rate": 1, "per": 3})"), "x", {"1"}), "0.333333");
  EXPECT_EQ(cost(single(R"({"unit": "s", "rate": 2, "per": 3})"), "x", {"1"}), "0.666667");
  EXPECT_EQ(cost(single(R"({"unit": "s", "rate": 0.000001, "per": 2})"), "x", {"1"}), "0.000001");
  // A third three times over is one: nothing is rounded before the end.
  EXPECT_EQ(cost(single(R"({"unit": "s", "rate": 1, "per": 3})"), "x", {"1", "1", "1"}), "1");
  EXPECT_EQ(cost(single(R"({"unit": "s", "rate": 1, "per": 3,
                           "modifiers": {"triple": {"multiply": 3}}})"),
                 "x", {"1"}, R"({"triple": true})"),
            "1");
}

TEST(Pricing, AppliesFeesModifiersAndMinimum) {
  const RateCard card = single(R"({"unit": "s", "rate": 2, "flat": 1, "minimum": 10,
      "modifiers": {"rush": {"multiply": 1.5, "add": 3}, "deep": {"add_rate": 0.5},
                    "kind": {"choices": {"plain": {}, "fine": {"multiply": 2}}}}})");
  EXPECT_EQ(cost(card, "x", {"1"}), "10");
  EXPECT_EQ(cost(card, "x", {"10"}), "21");
  EXPECT_EQ(cost(card, "x", {"10"}, R"({"deep": true})"), "26");
  EXPECT_EQ(cost(card, "x", {"10"}, R"({"deep": true, "rush": true})"), "43.5");
  EXPECT_EQ(cost(card, "x", {"10"}, R"({"deep": true, "rush": true, "kind": "fine"})"), "87");
  EXPECT_EQ(cost(card, "x", {"10"}, R"({"deep": false, "kind": "plain", "rush": null})"), "21");
}

TEST(Pricing, Tiers) {
  const char* steps =
      R"("steps": [{"up_to": 10, "rate": 3}, {"up_to": 20, "rate": 2}, {"rate": 1}]}})";
  const RateCard graduated = single(
      std::string(R"({"unit": "s", "period": "month", "tiers": {"mode": "graduated", )") + steps);
  EXPECT_EQ(cost(graduated, "x", {"10"}), "30");
  EXPECT_EQ(cost(graduated, "x", {"25"}), "55");
  EXPECT_EQ(cost(graduated, "x", {"10"}, "{}", "free", "5"), "25");
  EXPECT_EQ(cost(graduated, "x", {"10"}, "{}", "free", "20"), "10");
  const RateCard volume =
      single(std::string(R"({"unit": "s", "tiers": {"mode": "volume", )") + steps);
  EXPECT_EQ(cost(volume, "x", {"10"}), "30");
  EXPECT_EQ(cost(volume, "x", {"11"}), "22");
  EXPECT_EQ(cost(volume, "x", {"21"}, "{}", "free", "1000"), "21");  // no period: by itself
}

TEST(Pricing, RefusesWhatItCannotPrice) {
  const RateCard card = single(R"({"unit": "s", "rate": 9000000000000,
      "modifiers": {"fast": {"multiply": 2}, "kind": {"choices": {"a": {}}}}})");
  const auto code = [&](const char* operation, const char* quantity, const char* modifiers) {
    const auto error = test::refusal([&] { cost(card, operation, {quantity}, modifiers); });
    return error ? std::string(error->code) : "none";
  };
  EXPECT_EQ(code("x", "1", "{}"), "none");
  EXPECT_EQ(code("x", "1", R"({"fast": true})"), "PU013");
  EXPECT_EQ(code("x", "9000000000000", R"({"fast": true})"), "PU013");
  EXPECT_EQ(code("x", "0", "{}"), "PU013");
  EXPECT_EQ(code("x", "-1", "{}"), "PU013");
  EXPECT_EQ(code("y", "1", "{}"), "PU012");
  EXPECT_EQ(code("x", "1", R"({"slow": true})"), "PU012");
  EXPECT_EQ(code("x", "1", R"({"kind": "b"})"), "PU012");
  EXPECT_EQ(code("x", "1", R"({"kind": true})"), "PU014");
  EXPECT_EQ(code("x", "1", R"({"fast": "yes"})"), "PU014");
  EXPECT_EQ(code("x", "1", "[]"), "PU014");
}

std::set<std::string> rules(const char* operation) {
  RateCard card;
  std::set<std::string> found;
  for (const Violation& v :
       read_rate_card(std::string(R"({"operations": {"x": )") + operation + "}}", card))
    found.insert(v.path.substr(std::min<std::size_t>(v.path.size(), 12)) + " " + v.rule);
  return found;
}

TEST(RateCards, SayEverythingThatIsWrong) {
  using Rules = std::set<std::string>;
  EXPECT_EQ(rules("{}"), (Rules{".unit missing_field", ".rate missing_field"}));
  EXPECT_EQ(rules("1"), Rules{" wrong_kind"});
  EXPECT_EQ(rules(R"({"unit": "s", "rate": -1, "per": 0, "colour": 1})"),
            (Rules{".rate negative_amount", ".per out_of_range", ".colour unknown_field"}));
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 0.0000001, "flat": "5"})"),
            (Rules{".rate out_of_range", ".flat wrong_kind"}));
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 1, "free": 5})"), Rules{".free missing_field"});
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 1, "beyond": "refuse"})"),
            Rules{".beyond missing_field"});
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 1, "beyond": "burn", "period": "eon"})"),
            (Rules{".beyond unknown_word", ".period invalid_interval"}));
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 1, "rounding": {"step": 0, "of": "all"}})"),
            (Rules{".rounding.mode missing_field", ".rounding.step out_of_range",
                   ".rounding.of unknown_word"}));
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 1, "modifiers": {"m": {"multiply": 1001, "add": -1}}})"),
            (Rules{".modifiers.m.multiply out_of_range", ".modifiers.m.add negative_amount"}));
  EXPECT_EQ(rules(R"({"unit": "s", "tiers": {"mode": "graduated",
                     "steps": [{"up_to": 5, "rate": 1}, {"up_to": 5, "rate": 2}, {"rate": 1}]}})"),
            Rules{".tiers.steps[1].up_to tiers"});
  EXPECT_EQ(
      rules(R"({"unit": "s", "tiers": {"mode": "volume", "steps": [{"up_to": 5, "rate": 1}]}})"),
      Rules{".tiers.steps[0].up_to tiers"});
  EXPECT_EQ(rules(R"({"unit": "s", "rate": 1, "bundle": ["x", "y"]})"),
            (Rules{".bundle[0] unknown_operation", ".bundle[1] unknown_operation"}));
  RateCard card;
  EXPECT_EQ(read_rate_card("[]", card).size(), 1u);
  EXPECT_EQ(read_rate_card("{}", card).size(), 1u);
}

TEST(RateCards, TakeNamesInAnyScript) {
  EXPECT_EQ(cost(card_of(R"({"operations": {"文字起こし 🎧": {"unit": "秒", "rate": 2}}})"),
                 "文字起こし 🎧", {"3"}),
            "6");
}

// ---- random cards -------------------------------------------------------------------------------

std::string number(test::Random& random, std::int64_t most) {
  return Amount::from_micros(random.between(0, most)).to_string();
}

std::string random_operation(test::Random& random) {
  std::string json = R"({"unit": "s", "per": )" + number(random, 5'000'000).insert(0, "1") +
                     R"(, "flat": )" + number(random, 9'000'000) + R"(, "minimum": )" +
                     number(random, 9'000'000) + R"(, "period": "month", "free": )" +
                     number(random, 50'000'000);
  if (random.one_in(2))
    json += R"(, "tiers": {"mode": ")" + std::string(random.one_in(2) ? "volume" : "graduated") +
            R"(", "steps": [{"up_to": 20, "rate": )" + number(random, 9'000'000) +
            R"(}, {"rate": )" + number(random, 9'000'000) + "}]}";
  else
    json += R"(, "rate": )" + number(random, 9'000'000);
  if (random.one_in(2)) json += R"(, "included": )" + number(random, 5'000'000);
  if (random.one_in(2))
    json += std::string(R"(, "rounding": {"mode": ")") + (random.one_in(2) ? "up" : "nearest") +
            R"(", "step": 0.75, "of": ")" + (random.one_in(2) ? "call" : "batch") + "\"}";
  return json + R"(, "modifiers": {"a": {"multiply": )" + number(random, 3'000'000) +
         R"(, "add": )" + number(random, 3'000'000) + R"(}, "b": {"choices": {"c": {"add_rate": )" +
         number(random, 3'000'000) + "}}}}}";
}

// The formula once more, in floating point: near enough to find a wrong term.
double about(const Breakdown& b) {
  if (b.parts.empty()) return 0;
  const auto value = [](Amount a) { return static_cast<double>(a.micros()) / 1e6; };
  double fees = value(b.flat), rate = 0, factor = 1, sum = 0;
  for (const AppliedModifier& m : b.modifiers) {
    fees += value(m.effect.add);
    rate += value(m.effect.add_rate);
    factor *= value(m.effect.multiply);
  }
  for (const PricedPart& p : b.parts) sum += (value(p.rate) + rate) * value(p.quantity);
  return std::max(value(b.minimum), (fees + sum / value(b.per)) * factor);
}

TEST(Pricing, ABreakdownIsEnoughToComputeTheAmountAgain) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 3000; ++i) {
    const RateCard card = single(random_operation(random));
    PriceRequest request{"x", {}, random.one_in(2) ? R"({"a": true, "b": "c"})" : "{}", "free"};
    for (int n = random.small(1, 4); n > 0; --n)
      request.quantities.push_back(Amount::from_micros(random.between(1, 40'000'000)));
    const Amount used = Amount::from_micros(random.between(0, 60'000'000));
    const Breakdown priced = price(card, request, used);
    const std::optional<Breakdown> stored = read_breakdown(to_json(priced));
    ASSERT_TRUE(stored) << to_json(priced);
    ASSERT_EQ(amount_of(*stored), priced.amount) << to_json(priced);
    ASSERT_EQ(price(card, request_of(*stored), stored->used).amount, priced.amount);
    ASSERT_NEAR(static_cast<double>(priced.amount.micros()) / 1e6, about(priced), 1e-4);
    Amount parts;
    for (const PricedPart& part : priced.parts) parts += part.quantity;
    ASSERT_EQ(parts + priced.free, priced.quantity);
  }
}

// A free allowance and graduated tiers do not depend on how usage is cut into charges.
TEST(Pricing, GraduatedTiersInPiecesCostWhatTheyCostAtOnce) {
  SEEDED_RANDOM(random);
  const RateCard card = single(R"({"unit": "s", "period": "month", "free": 7,
      "tiers": {"mode": "graduated", "steps": [{"up_to": 10, "rate": 3}, {"up_to": 20, "rate": 2}, {"rate": 1}]}})");
  for (int i = 0; i < 500; ++i) {
    Amount used, sum;
    for (int n = random.small(1, 12); n > 0; --n) {
      const Breakdown b = price(
          card, {"x", {Amount::from_micros(Amount::unit * random.between(1, 6))}, "{}", ""}, used);
      used += b.quantity;
      sum += b.amount;
    }
    ASSERT_EQ(sum, price(card, {"x", {used}, "{}", ""}, Amount()).amount);
  }
}

TEST(Breakdowns, OtherDocumentsAreNone) {
  EXPECT_FALSE(read_breakdown("{}"));
  EXPECT_FALSE(read_breakdown("[]"));
  EXPECT_FALSE(read_breakdown(R"({"minutes": 5, "rate": 2.5})"));
}

}  // namespace
}  // namespace purser
