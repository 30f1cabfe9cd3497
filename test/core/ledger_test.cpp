// The chain hash covers every field of an entry and the hash before it.
#include "core/ledger.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace purser {
namespace {

LedgerEntry charge() {
  LedgerEntry entry;
  entry.account_id = "acme";
  entry.wallet = "credits";
  entry.entry_no = 7;
  entry.direction = Direction::debit;
  entry.reason = "transcription";
  entry.amount = Amount::parse("2.5");
  entry.balance_after = Amount::parse("97.5");
  entry.allocations = {{1, "monthly", Amount::parse("2")}, {4, "purchased", Amount::parse("0.5")}};
  entry.resource_type = "episode";
  entry.notes = "";
  entry.refund_of = 3;
  entry.created_at = 1'000;
  entry.effective_at = 900;
  return entry;
}

// What would be hashed, rather than its hash.
std::string hashed_bytes(const LedgerEntry& entry, const Digest& previous = {}) {
  std::string bytes;
  chain_hash(previous, entry, [&bytes](std::string_view input) {
    bytes = input;
    return Digest{};
  });
  return bytes;
}

TEST(ChainHash, CoversEveryField) {
  const std::function<void(LedgerEntry&)> changes[] = {
      [](LedgerEntry& e) { e.account_id = "acma"; },
      [](LedgerEntry& e) { e.wallet = "tokens"; },
      [](LedgerEntry& e) { e.entry_no = 8; },
      [](LedgerEntry& e) { e.direction = Direction::credit; },
      [](LedgerEntry& e) { e.reason = ""; },
      [](LedgerEntry& e) { e.amount += Amount::from_micros(1); },
      [](LedgerEntry& e) { e.balance_after -= Amount::from_micros(1); },
      [](LedgerEntry& e) { e.allocations.pop_back(); },
      [](LedgerEntry& e) { std::swap(e.allocations[0], e.allocations[1]); },
      [](LedgerEntry& e) { e.allocations[0].grant_id = 2; },
      [](LedgerEntry& e) { e.allocations[0].kind = "rollover"; },
      [](LedgerEntry& e) { e.allocations[0].amount = Amount::parse("2.000001"); },
      [](LedgerEntry& e) { e.resource_type.reset(); },
      [](LedgerEntry& e) { e.resource_id = "42"; },
      [](LedgerEntry& e) { e.resource_title = "Pilot"; },
      [](LedgerEntry& e) { e.breakdown = "{}"; },
      [](LedgerEntry& e) { e.notes.reset(); },
      [](LedgerEntry& e) { e.correlation_id = ""; },
      [](LedgerEntry& e) { e.fingerprint = Digest{}; },
      [](LedgerEntry& e) { e.fingerprint = Digest{1}; },
      [](LedgerEntry& e) { e.refund_of.reset(); },
      [](LedgerEntry& e) { e.refund_of = 4; },
      [](LedgerEntry& e) { e.hold_id = "h"; },
      [](LedgerEntry& e) { e.created_at = 1'001; },
      [](LedgerEntry& e) { e.effective_at = 901; }};
  std::set<std::string> seen = {hashed_bytes(charge())};
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    LedgerEntry entry = charge();
    changes[i](entry);
    EXPECT_TRUE(seen.insert(hashed_bytes(entry)).second) << "change " << i << " is not covered";
  }
}

TEST(ChainHash, CoversTheHashBefore) {
  Digest previous{};
  previous[31] = 1;
  EXPECT_NE(hashed_bytes(charge()), hashed_bytes(charge(), previous));
}

// Hashes stored in wallets depend on these bytes: a change here needs a new layout name.
TEST(ChainHash, LayoutIsFixed) {
  EXPECT_EQ(hashed_bytes(charge()),
            "15:purser.ledger.3"
            "8:previouss32:" +
                std::string(32, '\0') +
                "10:account_ids4:acme"
                "6:wallets7:credits"
                "8:entry_noi1:7"
                "9:directions5:DEBIT"
                "6:reasons13:transcription"
                "6:amounti7:2500000"
                "13:balance_afteri8:97500000"
                "11:allocationsi1:2"
                "8:grant_idi1:1"
                "4:kinds7:monthly"
                "6:amounti7:2000000"
                "8:grant_idi1:4"
                "4:kinds9:purchased"
                "6:amounti6:500000"
                "13:resource_types7:episode"
                "11:resource_idn"
                "14:resource_titlen"
                "9:breakdownn"
                "5:notess0:"
                "14:correlation_idn"
                "11:fingerprintn"
                "9:refund_ofi1:3"
                "7:hold_idn"
                "10:created_ati4:1000"
                "12:effective_ati3:900");
}

TEST(ChainHash, ReturnsTheDigestOfTheFunctionGiven) {
  Digest answer;
  answer.fill(9);
  EXPECT_EQ(chain_hash({}, charge(), [&](std::string_view) { return answer; }), answer);
}

}  // namespace
}  // namespace purser
