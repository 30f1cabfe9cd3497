// Canonical bytes can be read back, so two different lists never share them.
#include "core/canonical.hpp"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "random.hpp"

namespace purser {
namespace {

using test::Random;

// Name, tag, text: what one value looks like to a reader.
using Part = std::tuple<std::string, char, std::string>;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }
  std::string text() {
    const std::size_t colon = rest_.find(':');
    const std::size_t length = std::stoul(std::string(rest_.substr(0, colon)));
    std::string result(rest_.substr(colon + 1, length));
    rest_.remove_prefix(colon + 1 + length);
    return result;
  }
  Part part() {
    std::string name = text();
    const char tag = rest_.front();
    rest_.remove_prefix(1);
    return {std::move(name), tag, tag == 'n' ? "" : text()};
  }

 private:
  std::string_view rest_;
};

std::string random_text(Random& random) {
  std::string text;
  const int length = random.small(0, 12);
  for (int i = 0; i < length; ++i) text += "0123:sinab\0"[random.small(0, 10)];
  return text;
}

TEST(Canonical, BytesReadBackToTheSameList) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 20'000; ++i) {
    const std::string version = random_text(random);
    Canonical canonical(version);
    std::vector<Part> parts;
    for (int k = random.small(0, 6); k > 0; --k) {
      const std::string name = random_text(random);
      const std::string text = random_text(random);
      const std::int64_t number = random.between(-1000, 1000);
      switch (random.small(0, 2)) {
        case 0:
          canonical.add(name, text);
          parts.emplace_back(name, 's', text);
          break;
        case 1:
          canonical.add(name, number);
          parts.emplace_back(name, 'i', std::to_string(number));
          break;
        default:
          canonical.add(name, std::optional<std::string>());
          parts.emplace_back(name, 'n', "");
      }
    }
    Reader reader(canonical.bytes());
    ASSERT_EQ(reader.text(), version);
    for (const Part& part : parts) ASSERT_EQ(reader.part(), part);
    ASSERT_TRUE(reader.done());
  }
}

TEST(Canonical, AbsentEmptyTextAndNumberDiffer) {
  const auto bytes = [](auto value) { return Canonical("v").add("a", value).bytes(); };
  EXPECT_NE(bytes(std::optional<std::string>()), bytes(std::optional<std::string>("")));
  EXPECT_EQ(bytes(std::optional<std::string>("x")), bytes(std::string("x")));
  EXPECT_NE(bytes("5"), bytes(std::int64_t{5}));
  EXPECT_EQ(bytes("x"), bytes(std::string_view("x")));
}

TEST(Canonical, LayoutIsFixed) {
  EXPECT_EQ(Canonical("purser.request.1")
                .add("amount", std::int64_t{-5})
                .add("title", "a:b")
                .add("notes", std::optional<std::string>())
                .bytes(),
            "16:purser.request.16:amounti2:-55:titles3:a:b5:notesn");
}

}  // namespace
}  // namespace purser
