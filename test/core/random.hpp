// Random cases for property tests. Every run draws a new seed and names it when a test fails;
// PURSER_TEST_SEED repeats a run.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace purser::test {

class Random {
 public:
  Random() : seed_(chosen_seed()), engine_(seed_) {}

  std::string trace() const { return "PURSER_TEST_SEED=" + std::to_string(seed_); }

  std::int64_t between(std::int64_t lowest, std::int64_t highest) {
    return std::uniform_int_distribution<std::int64_t>(lowest, highest)(engine_);
  }
  int small(int lowest, int highest) { return static_cast<int>(between(lowest, highest)); }
  bool one_in(int n) { return between(1, n) == 1; }
  template <typename T>
  const T& of(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(
        between(0, static_cast<std::int64_t>(choices.size()) - 1))];
  }

 private:
  static std::uint32_t chosen_seed() {
    if (const char* fixed = std::getenv("PURSER_TEST_SEED"))
      return static_cast<std::uint32_t>(std::strtoul(fixed, nullptr, 10));
    return std::random_device{}();
  }

  std::uint32_t seed_;
  std::mt19937_64 engine_;
};

}  // namespace purser::test

// Declares `random` and prints its seed with every failure in the scope.
#define SEEDED_RANDOM(random)    \
  ::purser::test::Random random; \
  SCOPED_TRACE(random.trace())
