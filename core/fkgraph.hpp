// Deleting a user from a schema nobody described: which tables a user's rows can live in, and in
// which order they go. Works on a plain graph of tables and foreign keys; no SQL, no catalog.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace purser {

enum class DeleteAction { no_action, restricted, cascade, set_null, set_default };

// A foreign key: `child` refers to `parent`. Tables are indexes into the caller's own list.
struct ForeignKey {
  std::uint32_t id = 0;  // the caller's, e.g. the constraint's OID
  int child = 0;
  int parent = 0;
  DeleteAction action = DeleteAction::no_action;
  bool follows = true;  // false: rows are detached (set null, set default), not deleted
};

// One step of a deletion: tables whose rows must go in one statement, because they refer to each
// other by followed keys. Usually one table; `cyclic` also for one table that refers to itself.
struct Component {
  std::vector<int> tables;
  bool cyclic = false;
};

struct DeletionGraph {
  // Reachable tables only, every table after all the tables it refers to by a followed key. Collect
  // and lock in this order; delete in the reverse.
  std::vector<Component> parents_first;
  // Shortest path of keys from the root to each table: indexes into the keys given, root first.
  // Empty for the root and for tables that are not reached; indexed by table.
  std::vector<std::vector<int>> path;
  std::vector<bool> reached;  // indexed by table
  // Keys that detach rows of tables (reached or not) from reached tables: indexes into the keys.
  std::vector<int> detaching;
};

// Deterministic: tables and keys of equal rank come in the order given.
DeletionGraph plan_deletion(int table_count, int root, const std::vector<ForeignKey>& keys);

// The order for tables that were found to hold doomed rows (indexed by table): every table after
// all the doomed tables it refers to by any key. Keys that detach count too, so that a doomed row
// is deleted before, or together with, what it refers to and never has to be detached first. Delete
// in the reverse, one statement for each component.
std::vector<Component> order_deletion(const std::vector<bool>& doomed,
                                      const std::vector<ForeignKey>& keys);

}  // namespace purser
