// A deletion reaches every table it must, no other, and never a child after its parent.
#include "core/fkgraph.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "random.hpp"
#include "refusal.hpp"

namespace purser {
namespace {

using test::Random;
using test::refused_with;

std::size_t at(int index) {
  return static_cast<std::size_t>(index);
}

ForeignKey key(int child, int parent, bool follows = true) {
  return {0, child, parent, follows ? DeleteAction::cascade : DeleteAction::set_null, follows};
}

std::vector<ForeignKey> random_keys(Random& random, int tables, int count) {
  std::vector<ForeignKey> keys;
  for (int i = 0; i < count; ++i)
    keys.push_back(
        key(random.small(0, tables - 1), random.small(0, tables - 1), !random.one_in(4)));
  return keys;
}

// reaches[a][b]: rows of b go when rows of a go, by any number of followed keys, one at least.
std::vector<std::vector<bool>> closure(int tables, const std::vector<ForeignKey>& keys) {
  std::vector<std::vector<bool>> reaches(at(tables), std::vector<bool>(at(tables)));
  for (const ForeignKey& each : keys)
    if (each.follows) reaches[at(each.parent)][at(each.child)] = true;
  for (std::size_t via = 0; via < at(tables); ++via)
    for (std::size_t from = 0; from < at(tables); ++from)
      for (std::size_t to = 0; to < at(tables); ++to)
        if (reaches[from][via] && reaches[via][to]) reaches[from][to] = true;
  return reaches;
}

std::vector<int> distances(int tables, int root, const std::vector<ForeignKey>& keys) {
  std::vector<int> distance(at(tables), tables);
  distance[at(root)] = 0;
  for (int round = 0; round < tables; ++round)
    for (const ForeignKey& each : keys)
      if (each.follows)
        distance[at(each.child)] =
            std::min(distance[at(each.child)], distance[at(each.parent)] + 1);
  return distance;
}

std::map<int, int> component_by_table(const DeletionGraph& graph) {
  std::map<int, int> component;
  for (std::size_t c = 0; c < graph.parents_first.size(); ++c)
    for (int table : graph.parents_first[c].tables)
      EXPECT_TRUE(component.emplace(table, static_cast<int>(c)).second) << "listed twice";
  return component;
}

TEST(DeletionGraph, AgreesWithTheClosureOfRandomGraphs) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 3'000; ++i) {
    const int tables = random.small(1, 14);
    const int root = random.small(0, tables - 1);
    const std::vector<ForeignKey> keys = random_keys(random, tables, random.small(0, 24));
    const DeletionGraph graph = plan_deletion(tables, root, keys);
    const auto reaches = closure(tables, keys);
    std::map<int, int> component = component_by_table(graph);

    for (int t = 0; t < tables; ++t) {
      const bool expected = t == root || reaches[at(root)][at(t)];
      ASSERT_EQ(graph.reached[at(t)], expected);
      ASSERT_EQ(component.count(t), expected ? 1u : 0u);
    }
    for (const auto& [a, in_a] : component) {
      ASSERT_EQ(graph.parents_first[at(in_a)].cyclic, bool{reaches[at(a)][at(a)]});
      for (const auto& [b, in_b] : component) {
        if (a == b) continue;
        ASSERT_EQ(in_a == in_b, reaches[at(a)][at(b)] && reaches[at(b)][at(a)]);
      }
    }
    for (const ForeignKey& each : keys) {
      if (!each.follows || !graph.reached[at(each.parent)]) continue;
      ASSERT_LE(component[each.parent], component[each.child]) << "child before parent";
    }
  }
}

TEST(DeletionGraph, PathsAreShortestAndLeadFromTheRoot) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 3'000; ++i) {
    const int tables = random.small(1, 14);
    const int root = random.small(0, tables - 1);
    const std::vector<ForeignKey> keys = random_keys(random, tables, random.small(0, 24));
    const DeletionGraph graph = plan_deletion(tables, root, keys);
    const std::vector<int> distance = distances(tables, root, keys);
    ASSERT_EQ(graph.path.size(), at(tables));
    for (int t = 0; t < tables; ++t) {
      const std::vector<int>& path = graph.path[at(t)];
      if (!graph.reached[at(t)]) {
        ASSERT_TRUE(path.empty());
        continue;
      }
      ASSERT_EQ(static_cast<int>(path.size()), distance[at(t)]);
      int here = root;
      for (int k : path) {
        ASSERT_TRUE(keys[at(k)].follows);
        ASSERT_EQ(keys[at(k)].parent, here);
        here = keys[at(k)].child;
      }
      ASSERT_EQ(here, t);
    }
  }
}

TEST(DeletionGraph, DetachingKeysReachNothingAndAreListedWhereTheirParentGoes) {
  // 0 users ← 1 posts ← 2 comments; 3 audit refers to users, 4 drafts to audit, both set null.
  const std::vector<ForeignKey> keys = {key(1, 0), key(3, 0, false), key(2, 1), key(4, 3, false),
                                        key(2, 1, false)};
  const DeletionGraph graph = plan_deletion(5, 0, keys);
  EXPECT_EQ(graph.reached, (std::vector<bool>{true, true, true, false, false}));
  EXPECT_EQ(graph.detaching, (std::vector<int>{1, 4}));
}

TEST(DeletionGraph, SelfReferenceIsACycleOfOne) {
  const DeletionGraph graph = plan_deletion(2, 0, {key(1, 0), key(1, 1)});
  ASSERT_EQ(graph.parents_first.size(), 2u);
  EXPECT_FALSE(graph.parents_first[0].cyclic);
  EXPECT_TRUE(graph.parents_first[1].cyclic);
  EXPECT_FALSE(plan_deletion(1, 0, {key(0, 0, false)}).parents_first[0].cyclic)
      << "rows that are detached need no common statement";
}

TEST(DeletionGraph, EqualRankComesInTheOrderGiven) {
  const std::vector<ForeignKey> keys = {key(4, 0), key(2, 0), key(3, 4), key(3, 2), key(1, 3)};
  const DeletionGraph graph = plan_deletion(5, 0, keys);
  std::vector<int> order;
  for (const Component& component : graph.parents_first) order.push_back(component.tables.at(0));
  EXPECT_EQ(order, (std::vector<int>{0, 2, 4, 3, 1}));
  EXPECT_EQ(graph.path[3], (std::vector<int>{0, 2})) << "of two shortest paths, the first key";
}

TEST(DeletionGraph, MutualReferencesGoInOneStep) {
  const DeletionGraph graph = plan_deletion(4, 0, {key(1, 0), key(2, 1), key(1, 2), key(3, 2)});
  ASSERT_EQ(graph.parents_first.size(), 3u);
  EXPECT_EQ(graph.parents_first[1].tables, (std::vector<int>{1, 2}));
  EXPECT_TRUE(graph.parents_first[1].cyclic);
}

TEST(DeletionGraph, DeepChainsAndLargeSchemasArePlannedQuickly) {
  SEEDED_RANDOM(random);
  std::vector<ForeignKey> chain;
  constexpr int depth = 5'000;
  for (int t = 1; t < depth; ++t) chain.push_back(key(t, t - 1));
  chain.push_back(key(0, depth - 1));  // and all of it one cycle
  EXPECT_EQ(plan_deletion(depth, 0, chain).parents_first.size(), 1u);
  chain.pop_back();
  EXPECT_EQ(plan_deletion(depth, 0, chain).parents_first.size(), static_cast<std::size_t>(depth));

  const std::vector<ForeignKey> keys = random_keys(random, 1'000, 3'000);
  const auto start = std::chrono::steady_clock::now();
  plan_deletion(1'000, 0, keys);
  const auto elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed, std::chrono::milliseconds(200));
}

TEST(DeletionOrder, NoDoomedRowOutlivesWhatItRefersTo) {
  SEEDED_RANDOM(random);
  for (int i = 0; i < 3'000; ++i) {
    const int tables = random.small(1, 14);
    const std::vector<ForeignKey> keys = random_keys(random, tables, random.small(0, 24));
    std::vector<bool> doomed;
    for (int t = 0; t < tables; ++t) doomed.push_back(!random.one_in(3));
    std::map<int, int> component;
    const std::vector<Component> order = order_deletion(doomed, keys);
    for (std::size_t c = 0; c < order.size(); ++c)
      for (int table : order[c].tables)
        ASSERT_TRUE(component.emplace(table, static_cast<int>(c)).second) << "listed twice";
    for (int t = 0; t < tables; ++t) ASSERT_EQ(component.count(t), doomed[at(t)] ? 1u : 0u);

    std::vector<ForeignKey> between;
    for (const ForeignKey& each : keys)
      if (doomed[at(each.child)] && doomed[at(each.parent)])
        between.push_back(key(each.child, each.parent));
    for (const ForeignKey& each : between)
      ASSERT_LE(component[each.parent], component[each.child]) << "child before parent";
    const auto reaches = closure(tables, between);
    for (const auto& [a, in_a] : component)
      for (const auto& [b, in_b] : component)
        ASSERT_EQ(in_a == in_b, a == b || (reaches[at(a)][at(b)] && reaches[at(b)][at(a)]));
  }
}

TEST(DeletionOrder, TablesWithoutDoomedRowsJoinNothing) {
  // 0 users ← 1 posts ← 2 covers, and posts point back at their cover: a cycle unless no cover
  // goes.
  const std::vector<ForeignKey> keys = {key(1, 0), key(2, 1), key(1, 2, false)};
  EXPECT_EQ(order_deletion({true, true, true}, keys).size(), 2u);
  EXPECT_EQ(order_deletion({true, true, false}, keys).size(), 2u);
  EXPECT_EQ(order_deletion({true, true, false}, keys)[1].tables, (std::vector<int>{1}));
}

TEST(DeletionGraph, TablesOutOfRangeAreRefused) {
  for (const auto& keys : {std::vector{key(2, 0)}, std::vector{key(0, -1)}})
    EXPECT_TRUE(refused_with(sqlstate::invalid_argument, [&] { plan_deletion(2, 0, keys); }));
  EXPECT_TRUE(refused_with(sqlstate::invalid_argument, [] { plan_deletion(2, 2, {}); }));
  EXPECT_TRUE(
      refused_with(sqlstate::invalid_argument, [] { order_deletion({true}, {key(1, 0)}); }));
}

}  // namespace
}  // namespace purser
