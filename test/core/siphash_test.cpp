#include "core/siphash.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace purser {
namespace {

// Key 00 01 … 0f, message 00 01 … of each length, as OpenSSL computes it
// (openssl mac -macopt hexkey:000102… -macopt size:16 SIPHASH).
std::string hex_of(std::size_t length) {
  std::string message;
  for (std::size_t i = 0; i < length; ++i) message += static_cast<char>(i);
  const SipHash hash = siphash({0x0706050403020100, 0x0f0e0d0c0b0a0908}, message);
  std::string hex;
  for (const std::uint64_t word : {hash.low, hash.high})
    for (int i = 0; i < 8; ++i) {
      char digits[3];
      std::snprintf(digits, sizeof(digits), "%02X", static_cast<unsigned>(word >> (8 * i) & 0xff));
      hex += digits;
    }
  return hex;
}

TEST(SipHash, IsTheOneOthersCompute) {
  EXPECT_EQ(hex_of(0), "A3817F04BA25A8E66DF67214C7550293");
  EXPECT_EQ(hex_of(1), "DA87C1D86B99AF44347659119B22FC45");
  EXPECT_EQ(hex_of(7), "A1F1EBBED8DBC153C0B84AA61FF08239");
  EXPECT_EQ(hex_of(8), "3B62A9BA6258F5610F83E264F31497B4");
  EXPECT_EQ(hex_of(15), "5493E99933B0A8117E08EC0F97CFC3D9");
  EXPECT_EQ(hex_of(16), "6EE2A4CA67B054BBFD3315BF85230577");
  EXPECT_EQ(hex_of(63), "5150D1772F50834A503E069A973FBD7C");
  EXPECT_EQ(hex_of(300), "CE005A406D14B36D5386B5F7A7E1B311");
}

TEST(SipHash, DependsOnEveryByteAndOnTheKey) {
  std::set<std::string> hashes;
  for (std::size_t length = 0; length < 64; ++length) hashes.insert(hex_of(length));
  EXPECT_EQ(hashes.size(), 64u);
  EXPECT_NE(siphash({1, 2}, "key"), siphash({1, 3}, "key"));
  EXPECT_NE(siphash({1, 2}, std::string(1, '\0')), siphash({1, 2}, ""));
}

}  // namespace
}  // namespace purser
