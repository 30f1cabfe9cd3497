// The application's schema as a deletion sees it: tables a user's rows can live in, foreign keys
// between them, and what was decided about each key. Three catalog queries, however many tables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/fkgraph.hpp"
#include "extension/deletion_source.hpp"

namespace purser {

// A plain table, or a partitioned table with all its partitions.
struct DeletionTable {
  Oid oid = InvalidOid;
  std::string schema, name;
  std::string quoted;    // public.users
  std::string relation;  // "ONLY public.users", or without ONLY when it is partitioned
  bool may_enter = false, may_read = false, may_update = false, may_delete = false;
  // What tells its rows apart: the columns of the primary key or of another unique index without
  // NULLs, each with its equality operator; the row's address when there is none.
  std::vector<std::string> identity, identity_equals;
  std::vector<std::string> delete_triggers, update_triggers;
  // Columns that keys of others refer to; the doomed rows carry their values.
  std::vector<std::string> referenced;
  bool by_partition = false;  // a key refers to one of its partitions only
};

struct KeyColumn {
  std::string child, parent;  // names
  std::string equals;         // operator(parent value, child value)
  std::string collation;      // of the parent, where the child's differs
  bool nullable = false;      // the child's
  bool set_by_key = false;    // named in ON DELETE SET NULL (columns)
};

// A declared foreign key between two tables of the schema.
struct DeletionKey {
  Oid oid = InvalidOid;
  std::string name;
  int child = 0, parent = 0;
  Oid child_relid = InvalidOid, parent_relid = InvalidOid;  // perhaps a partition
  std::string child_relation;  // quoted for FROM, as DeletionTable::relation
  std::string child_quoted;
  DeleteAction action = DeleteAction::no_action;
  bool match_full = false;
  Treatment treatment = Treatment::remove;
  bool by_rule = false;
  std::string rule_column;  // of that rule; empty for a rule of the whole table
  std::vector<KeyColumn> columns;
  bool indexed = false;

  // The schema or an operator said that rows reached by this key go, whoever else they name.
  bool decided() const {
    return treatment == Treatment::remove && (by_rule || action == DeleteAction::cascade);
  }
  bool may_be_null() const;
  std::string columns_text() const;  // user_id, or (tenant_id, user_id)
  // Columns that detaching sets; empty when none of them can be.
  std::vector<std::string> detached_columns() const;
};

struct DeletionSchema {
  static constexpr int users = 0;  // index of the table of users

  std::vector<DeletionTable> tables;
  std::vector<DeletionKey> keys;
  std::vector<ForeignKey> plain_keys;  // the same keys for the rules in core
  DeletionGraph graph;
  std::vector<std::vector<int>> keys_to, keys_from;  // by parent, by child: indexes into keys
  std::vector<int> component;                        // by table, among graph.parents_first

  // A table is of interest when its rows may go or be detached; others are not described.
  bool reached(int table) const { return graph.reached[static_cast<std::size_t>(table)]; }
  const DeletionTable& table(int index) const { return tables[static_cast<std::size_t>(index)]; }
  const DeletionKey& key(int index) const { return keys[static_cast<std::size_t>(index)]; }

  // Other keys by which a row that was reached by this one belongs to something: they are followed
  // and cannot be null. Keys to users are told apart by whom they name; keys within a cycle of
  // tables are left out, because neither end is known before the other.
  std::vector<int> binding_keys(int reached_by) const;
  // Keys other than this one by which its child's rows name users.
  std::vector<int> user_keys(int reached_by) const;

  // How the rows of a table are found: users ← podcasts.user_id ← episodes.podcast_id.
  std::string path_to(int table) const;
  std::string path_by(int key) const;
  // A table's name for people: with its schema where that is not the one of the users.
  std::string short_name(int table) const;
};

DeletionSchema load_deletion_schema(const UserSource& source,
                                    const std::vector<DeletionRule>& rules);

// PU010 naming the tables and the GRANT that is missing. A dry run only reads.
void require_privileges(const DeletionSchema& schema, bool dry_run);
// What require_privileges would say of a deletion; empty when nothing is missing.
std::string missing_privileges(const DeletionSchema& schema, bool dry_run);

}  // namespace purser
