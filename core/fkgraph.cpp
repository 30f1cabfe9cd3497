// Planning a deletion over a graph of foreign keys: reachability by breadth-first search, strongly
// connected components (Tarjan), their order (Kahn). Nothing recurses: a chain of thousands of
// tables is as good as any other.
#include "core/fkgraph.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <string>

#include "core/error.hpp"

namespace purser {
namespace {

constexpr int none = -1;

std::size_t at(int index) {
  return static_cast<std::size_t>(index);
}

void require_table(int table, int table_count, const std::string& what) {
  if (table >= 0 && table < table_count) return;
  throw Error(sqlstate::invalid_argument,
              what + " names table " + std::to_string(table) + " of " + std::to_string(table_count),
              "Tables are numbered from 0.");
}

void require_tables_of(const ForeignKey& key, int table_count) {
  const std::string what = "foreign key " + std::to_string(key.id);
  require_table(key.child, table_count, what);
  require_table(key.parent, table_count, what);
}

// Per table, the keys of one sort that lead away from it to its children, in the order given.
using KeysByParent = std::vector<std::vector<int>>;

template <class Sort>
KeysByParent keys_by_parent(int table_count, const std::vector<ForeignKey>& keys, Sort&& belongs) {
  KeysByParent by_parent(at(table_count));
  for (std::size_t k = 0; k < keys.size(); ++k)
    if (belongs(keys[k])) by_parent[at(keys[k].parent)].push_back(static_cast<int>(k));
  return by_parent;
}

// Marks what is reached and returns, per table, the key it was first reached by. Breadth first, so
// following those keys back to the root is a shortest path.
std::vector<int> reach(int root, const std::vector<ForeignKey>& keys, const KeysByParent& by_parent,
                       std::vector<bool>& reached) {
  std::vector<int> reached_by(by_parent.size(), none);
  std::queue<int> frontier({root});
  reached[at(root)] = true;
  while (!frontier.empty()) {
    const int table = frontier.front();
    frontier.pop();
    for (int k : by_parent[at(table)]) {
      const int child = keys[at(k)].child;
      if (reached[at(child)]) continue;
      reached[at(child)] = true;
      reached_by[at(child)] = k;
      frontier.push(child);
    }
  }
  return reached_by;
}

std::vector<int> path_to(int table, const std::vector<ForeignKey>& keys,
                         const std::vector<int>& reached_by) {
  std::vector<int> path;
  for (int k = reached_by[at(table)]; k != none; k = reached_by[at(keys[at(k)].parent)])
    path.push_back(k);
  std::reverse(path.begin(), path.end());
  return path;
}

// Tarjan's algorithm with its call stack held in a vector.
class StrongComponents {
 public:
  StrongComponents(const std::vector<ForeignKey>& keys, const KeysByParent& by_parent)
      : keys_(keys),
        by_parent_(by_parent),
        index_(by_parent.size(), none),
        low_(by_parent.size(), none),
        component_(by_parent.size(), none) {}

  // Numbers the components of everything reachable from `start` that has no number yet; returns how
  // many there are by now.
  int number_from(int start) {
    if (index_[at(start)] == none) enter(start);
    while (!visits_.empty()) step();
    return count_;
  }

  int component_of(int table) const { return component_[at(table)]; }

 private:
  struct Visit {
    int table;
    std::size_t next_key = 0;
  };

  void enter(int table) {
    index_[at(table)] = low_[at(table)] = next_index_++;
    open_.push_back(table);
    visits_.push_back({table});
  }

  void step() {
    Visit& visit = visits_.back();
    const std::vector<int>& away = by_parent_[at(visit.table)];
    if (visit.next_key == away.size()) return leave();
    const int table = visit.table;
    const int child = keys_[at(away[visit.next_key++])].child;
    if (index_[at(child)] == none)
      enter(child);
    else if (component_[at(child)] == none)
      lower(table, index_[at(child)]);
  }

  void leave() {
    const int table = visits_.back().table;
    visits_.pop_back();
    if (!visits_.empty()) lower(visits_.back().table, low_[at(table)]);
    if (low_[at(table)] == index_[at(table)]) close(table);
  }

  void close(int first) {
    int table = none;
    while (table != first) {
      table = open_.back();
      open_.pop_back();
      component_[at(table)] = count_;
    }
    ++count_;
  }

  void lower(int table, int index) { low_[at(table)] = std::min(low_[at(table)], index); }

  const std::vector<ForeignKey>& keys_;
  const KeysByParent& by_parent_;
  std::vector<int> index_, low_, component_;
  std::vector<int> open_;
  std::vector<Visit> visits_;
  int next_index_ = 0;
  int count_ = 0;
};

// The components with their tables in the order given, not yet ordered among themselves.
std::vector<Component> gather(const StrongComponents& numbered, int count,
                              const std::vector<bool>& reached,
                              const std::vector<ForeignKey>& keys) {
  std::vector<Component> components(at(count));
  for (std::size_t t = 0; t < reached.size(); ++t) {
    const int table = static_cast<int>(t);
    if (reached[t]) components[at(numbered.component_of(table))].tables.push_back(table);
  }
  for (Component& component : components) component.cyclic = component.tables.size() > 1;
  for (const ForeignKey& key : keys)
    if (key.follows && key.child == key.parent && reached[at(key.child)])
      components[at(numbered.component_of(key.child))].cyclic = true;
  return components;
}

// Kahn's algorithm; of the components that may come next, the one with the first table goes first.
std::vector<Component> parents_first(std::vector<Component> components,
                                     const StrongComponents& numbered,
                                     const std::vector<ForeignKey>& keys,
                                     const KeysByParent& by_parent) {
  std::vector<int> waiting_for(components.size(), 0);
  const auto for_each_child = [&](int component, const auto& visit) {
    for (int table : components[at(component)].tables)
      for (int k : by_parent[at(table)])
        if (const int child = numbered.component_of(keys[at(k)].child); child != component)
          visit(child);
  };
  const int count = static_cast<int>(components.size());
  for (int c = 0; c < count; ++c) for_each_child(c, [&](int child) { ++waiting_for[at(child)]; });

  // Components are told apart by their first table, which no other has.
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  const auto make_ready = [&](int c) { ready.push(components[at(c)].tables.front()); };
  for (int c = 0; c < count; ++c)
    if (waiting_for[at(c)] == 0) make_ready(c);

  std::vector<Component> ordered;
  while (!ready.empty()) {
    const int next = numbered.component_of(ready.top());
    ready.pop();
    for_each_child(next, [&](int child) {
      if (--waiting_for[at(child)] == 0) make_ready(child);
    });
    ordered.push_back(components[at(next)]);
  }
  return ordered;
}

}  // namespace

DeletionGraph plan_deletion(int table_count, int root, const std::vector<ForeignKey>& keys) {
  require_table(root, table_count, "the root");
  for (const ForeignKey& key : keys) require_tables_of(key, table_count);
  const KeysByParent by_parent =
      keys_by_parent(table_count, keys, [](const ForeignKey& key) { return key.follows; });

  DeletionGraph graph;
  graph.reached.resize(at(table_count));
  const std::vector<int> reached_by = reach(root, keys, by_parent, graph.reached);
  graph.path.reserve(at(table_count));
  for (int table = 0; table < table_count; ++table)
    graph.path.push_back(path_to(table, keys, reached_by));

  StrongComponents numbered(keys, by_parent);
  const int count = numbered.number_from(root);
  graph.parents_first =
      parents_first(gather(numbered, count, graph.reached, keys), numbered, keys, by_parent);

  for (std::size_t k = 0; k < keys.size(); ++k)
    if (!keys[k].follows && graph.reached[at(keys[k].parent)])
      graph.detaching.push_back(static_cast<int>(k));
  return graph;
}

std::vector<Component> order_deletion(const std::vector<bool>& doomed,
                                      const std::vector<ForeignKey>& keys) {
  const int table_count = static_cast<int>(doomed.size());
  for (const ForeignKey& key : keys) require_tables_of(key, table_count);
  const KeysByParent by_parent = keys_by_parent(table_count, keys, [&](const ForeignKey& key) {
    return doomed[at(key.child)] && doomed[at(key.parent)];
  });
  StrongComponents numbered(keys, by_parent);
  int count = 0;
  for (int table = 0; table < table_count; ++table)
    if (doomed[at(table)]) count = numbered.number_from(table);
  return parents_first(gather(numbered, count, doomed, keys), numbered, keys, by_parent);
}

}  // namespace purser
