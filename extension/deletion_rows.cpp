// Collecting, locking, detaching and deleting, each by statements over whole sets of rows.
//
// Locks: the user's row, then the rows of one component of tables after another, parents first.
// Each set is a statement of its own: under READ COMMITTED it sees what was committed while the one
// before waited, and nothing can be added below rows that are locked. Rows of a leaf, to which
// nothing refers, are locked as they are deleted.
#include "extension/deletion_rows.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "extension/pg/name.hpp"

namespace purser {

namespace {

// Temporary tables of one session have different names, also in one transaction.
int next_serial() {
  static int serial = 0;
  return ++serial;
}

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

std::string column(char sort, std::size_t position) {
  return sort + number(position);
}

std::size_t position_of(const std::string& name, const std::vector<std::string>& names) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

bool contains(const std::vector<int>& tables, int table) {
  return std::find(tables.begin(), tables.end(), table) != tables.end();
}

std::string conjunction(const std::vector<std::string>& conditions) {
  std::string text;
  for (const std::string& condition : conditions) text += (text.empty() ? "" : " AND ") + condition;
  return text.empty() ? "true" : text;
}

}  // namespace

DoomedRows::DoomedRows(const DeletionSchema& schema, bool lock)
    : schema_(schema), lock_(lock), serial_(next_serial()), found_(schema.tables.size()) {
  for (const Component& component : schema.graph.parents_first)
    for (int table : component.tables) {
      at(table).iterated = component.cyclic;
      int keys = 0;
      for (int k : schema.keys_from[static_cast<std::size_t>(table)])
        keys += schema.key(k).treatment == Treatment::remove;
      at(table).distinct = component.cyclic || keys > 1;
    }
}

void DoomedRows::collect(const UserSource& source, std::string_view user_id) {
  collect_user(source, user_id);
  for (const Component& component : schema_.graph.parents_first) collect_component(component);
}

bool DoomedRows::any_others() const {
  return std::any_of(found_.begin(), found_.end(), [](const Found& f) { return f.others > 0; });
}

void DoomedRows::collect_user(const UserSource& source, std::string_view user_id) {
  constexpr int users = DeletionSchema::users;
  make_table(users);
  const std::string sql = "INSERT INTO " + at(users).name + " SELECT " + columns(users, "c") +
                          ", false, 0 FROM " + source.relation + " AS c WHERE c." +
                          pg::quoted(source.id_column) + " " + source.id_equals + " $1" +
                          (lock_ ? " FOR UPDATE OF c" : "");
  at(users).own = pg::run_once(sql, {source.id_type}, {typed_id(source, user_id)}).processed();
}

void DoomedRows::collect_component(const Component& component) {
  if (component.cyclic)
    collect_to_fixpoint(component.tables);
  else
    collect_once(component.tables.front());
  for (int table : component.tables)
    if (is_collected(table)) analyze(table);
}

// The only key of a leaf whose rows need not be collected to be deleted: no row refers to them,
// they name nobody else, and no trigger decides about them. They go with what they refer to.
int DoomedRows::leaf_key(int table) const {
  const auto index = static_cast<std::size_t>(table);
  const std::vector<int>& keys = schema_.keys_from[index];
  if (!lock_ || table == DeletionSchema::users || keys.size() != 1 ||
      !schema_.keys_to[index].empty() || !schema_.tables[index].delete_triggers.empty())
    return no_key;
  const DeletionKey& key = schema_.key(keys.front());
  const bool goes =
      key.treatment == Treatment::remove && is_collected(key.parent) && at(key.parent).others == 0;
  return goes ? keys.front() : no_key;
}

void DoomedRows::collect_once(int table) {
  if (leaf_key(table) != no_key) return;
  const std::vector<int> keys = keys_into({table});
  for (const Pass pass : {Pass::own, Pass::entry, Pass::descent})
    for (int k : keys) collect_by(k, pass, any_round, 0);
}

// Semi-naive: a round looks only at what the round before found.
void DoomedRows::collect_to_fixpoint(const std::vector<int>& tables) {
  const std::vector<int> outer = keys_into(tables);
  const std::vector<int> inner = keys_within(tables);
  int round = 0;
  const auto follow = [&](Pass pass) {
    std::uint64_t fresh = 1;
    while (fresh > 0) {
      ++round;
      fresh = 0;
      for (int k : inner) fresh += collect_by(k, pass, round - 1, round);
    }
  };
  for (int k : outer) collect_by(k, Pass::own, any_round, round);
  follow(Pass::own);
  for (int k : outer) collect_by(k, Pass::entry, any_round, round);
  for (int k : outer) collect_by(k, Pass::descent, any_round, round);
  for (int k : inner) collect_by(k, Pass::entry, any_round, round);
  follow(Pass::descent);
}

std::vector<int> DoomedRows::keys_within(const std::vector<int>& tables) const {
  std::vector<int> keys;
  for (int table : tables)
    for (int k : schema_.keys_from[static_cast<std::size_t>(table)])
      if (schema_.key(k).treatment == Treatment::remove && contains(tables, schema_.key(k).parent))
        keys.push_back(k);
  return keys;
}

std::vector<int> DoomedRows::keys_into(const std::vector<int>& tables) const {
  std::vector<int> keys;
  for (int table : tables)
    for (int k : schema_.keys_from[static_cast<std::size_t>(table)])
      if (schema_.key(k).treatment == Treatment::remove && !contains(tables, schema_.key(k).parent))
        keys.push_back(k);
  return keys;
}

// A second user is never the user's own row, and what hangs on them is not followed: one deletion
// takes one user.
bool DoomedRows::worth_a_statement(int k, Pass pass) const {
  const DeletionKey& key = schema_.key(k);
  if (!is_collected(key.parent)) return false;
  switch (pass) {
    case Pass::own:
      return key.child != DeletionSchema::users;
    case Pass::entry:
      return key.child == DeletionSchema::users ||
             (!key.decided() && !is_of_somebody_else(k).empty());
    case Pass::descent:
      return at(key.parent).others > 0 && key.parent != DeletionSchema::users;
  }
  return false;
}

std::uint64_t DoomedRows::collect_by(int k, Pass pass, int parent_round, int round) {
  if (!worth_a_statement(k, pass)) return 0;
  const DeletionKey& key = schema_.key(k);
  const std::string reached = " FROM " + at(key.parent).name + " AS p JOIN " + key.child_relation +
                              " AS c ON " + matches(k) + " WHERE " +
                              restriction(k, pass, parent_round);
  if (!is_collected(key.child)) {
    if (!pg::run_once("SELECT EXISTS (SELECT" + reached + ")", {}, {})[0].boolean(0)) return 0;
    make_table(key.child);
  }
  const bool own = pass == Pass::own;
  const std::string sql = "INSERT INTO " + at(key.child).name + " SELECT " +
                          columns(key.child, "c") + (own ? ", false, " : ", true, ") +
                          std::to_string(round) + reached + (lock_ ? " FOR UPDATE OF c" : "") +
                          (at(key.child).distinct ? " ON CONFLICT DO NOTHING" : "");
  const std::uint64_t fresh = pg::run_once(sql, {}, {}).processed();
  (own ? at(key.child).own : at(key.child).others) += fresh;
  if (pass == Pass::entry && fresh > 0) others_by_key_[k] += fresh;
  return fresh;
}

void DoomedRows::make_table(int table) {
  Found& found = at(table);
  found.name = "pg_temp.purser_doomed_" + std::to_string(serial_) + "_" + std::to_string(table);
  const DeletionTable& of = schema_.table(table);
  std::string shape;
  for (std::size_t i = 0; i < of.identity.size(); ++i)
    shape += "c." + pg::quoted(of.identity[i]) + " AS " + column('i', i) + ", ";
  for (std::size_t i = 0; i < of.referenced.size(); ++i)
    shape += "c." + pg::quoted(of.referenced[i]) + " AS " + column('r', i) + ", ";
  if (of.by_partition) shape += "c.tableoid AS part, ";
  pg::run_once("CREATE TEMP TABLE " + found.name + " ON COMMIT DROP AS SELECT " + shape +
                   "false AS others, 0 AS round FROM " + of.relation + " AS c WITH NO DATA",
               {}, {});
  if (found.distinct) {
    std::string identity;
    for (std::size_t i = 0; i < of.identity.size(); ++i)
      identity += (i == 0 ? "" : ", ") + column('i', i);
    pg::run_once("CREATE UNIQUE INDEX ON " + found.name + " (" + identity + ")", {}, {});
  }
  if (found.iterated) pg::run_once("CREATE INDEX ON " + found.name + " (round)", {}, {});
}

// Joins are planned by how many rows there are, so that few rows are looked up by index.
void DoomedRows::analyze(int table) const {
  pg::run_once("ANALYZE " + at(table).name, {}, {});
}

// In the order of make_table.
std::string DoomedRows::columns(int table, const char* alias) const {
  const DeletionTable& of = schema_.table(table);
  std::string list;
  const auto add = [&](const std::string& name) {
    list += (list.empty() ? "" : ", ") + (std::string(alias) + ".") + name;
  };
  for (const std::string& name : of.identity) add(pg::quoted(name));
  for (const std::string& name : of.referenced) add(pg::quoted(name));
  if (of.by_partition) add("tableoid");
  return list;
}

// Child row c refers to doomed row p.
std::string DoomedRows::matches(int k) const {
  const DeletionKey& key = schema_.key(k);
  const DeletionTable& parent = schema_.table(key.parent);
  std::vector<std::string> conditions;
  for (const KeyColumn& pair : key.columns)
    conditions.push_back("p." + column('r', position_of(pair.parent, parent.referenced)) + " " +
                         pair.equals + " c." + pg::quoted(pair.child) +
                         (pair.collation.empty() ? "" : " COLLATE " + pair.collation));
  if (key.parent_relid != parent.oid)
    conditions.push_back(
        "p.part OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT t.relid::pg_catalog.oid FROM "
        "pg_catalog.pg_partition_tree(" +
        std::to_string(key.parent_relid) + ") AS t))");
  return conjunction(conditions);
}

// Row c refers by a column other than the key's to another user, or to the one being deleted. Empty
// when the table has no such column.
std::string DoomedRows::names_user(int k, bool another) const {
  constexpr int users = DeletionSchema::users;
  std::string text;
  for (int other : schema_.user_keys(k)) {
    std::string named, same;
    for (const KeyColumn& pair : schema_.key(other).columns) {
      const std::string value = "c." + pg::quoted(pair.child);
      const std::string user =
          "(SELECT u." + column('r', position_of(pair.parent, schema_.table(users).referenced)) +
          " FROM " + at(users).name + " AS u WHERE NOT u.others)";
      named += value + " IS NOT NULL AND ";
      same += (same.empty() ? "" : " AND ") + user + " " + pair.equals + " " + value +
              (pair.collation.empty() ? "" : " COLLATE " + pair.collation);
    }
    text += (text.empty() ? "(" : " OR (") +
            (another ? named + "(" + same + ") IS NOT TRUE)" : "(" + same + ") IS TRUE)");
  }
  return text.empty() ? text : "(" + text + ")";
}

// Row c belongs by another key, which cannot be null, to a row that is not the user's: a picture of
// the user in somebody's album. Empty when the table has no such key.
std::string DoomedRows::hangs_on_rows_that_stay(int k) const {
  std::string text;
  for (int other : schema_.binding_keys(k)) {
    const int parent = schema_.key(other).parent;
    text += text.empty() ? "" : " OR ";
    text += !is_collected(parent) ? "true"
                                  : "NOT EXISTS (SELECT FROM " + at(parent).name + " AS p WHERE " +
                                        matches(other) + " AND NOT p.others)";
  }
  return text.empty() ? text : "(" + text + ")";
}

// What the user themselves is named in is theirs; a row of the table of users itself never is.
std::string DoomedRows::is_of_somebody_else(int k) const {
  const DeletionKey& key = schema_.key(k);
  if (key.child == DeletionSchema::users) return "true";
  const std::string another = names_user(k, true);
  const std::string hanging = key.parent == DeletionSchema::users ? "" : hangs_on_rows_that_stay(k);
  if (hanging.empty()) return another;
  const std::string own = names_user(k, false);
  const std::string unnamed = own.empty() ? hanging : "(NOT " + own + " AND " + hanging + ")";
  return another.empty() ? unnamed : "(" + another + " OR " + unnamed + ")";
}

std::string DoomedRows::restriction(int k, Pass pass, int parent_round) const {
  std::vector<std::string> conditions;
  conditions.push_back(pass == Pass::descent ? "p.others" : "NOT p.others");
  if (parent_round != any_round)
    conditions.push_back("p.round OPERATOR(pg_catalog.=) " + std::to_string(parent_round));
  const std::string others = is_of_somebody_else(k);
  if (pass == Pass::entry && !others.empty()) conditions.push_back(others);
  if (pass == Pass::own && !others.empty() && !schema_.key(k).decided())
    conditions.push_back("NOT " + others);
  return conjunction(conditions);
}

std::string DoomedRows::same_row(int table, const char* doomed, const char* alias) const {
  const DeletionTable& of = schema_.table(table);
  std::vector<std::string> conditions;
  for (std::size_t i = 0; i < of.identity.size(); ++i)
    conditions.push_back(std::string(doomed) + "." + column('i', i) + " " + of.identity_equals[i] +
                         " " + alias + "." + pg::quoted(of.identity[i]));
  return conjunction(conditions);
}

std::string DoomedRows::not_doomed(int k) const {
  const int child = schema_.key(k).child;
  if (!is_collected(child)) return "true";
  return "NOT EXISTS (SELECT FROM " + at(child).name + " AS d WHERE " + same_row(child, "d", "c") +
         ")";
}

std::uint64_t DoomedRows::count_remaining(int k) const {
  const DeletionKey& key = schema_.key(k);
  if (!is_collected(key.parent)) return 0;
  const std::string sql = "SELECT pg_catalog.count(*) FROM " + at(key.parent).name + " AS p JOIN " +
                          key.child_relation + " AS c ON " + matches(k) +
                          " WHERE NOT p.others AND " + not_doomed(k);
  return static_cast<std::uint64_t>(pg::run_once(sql, {}, {})[0].int8(0));
}

std::uint64_t DoomedRows::detach(int k) const {
  const DeletionKey& key = schema_.key(k);
  if (!is_collected(key.parent)) return 0;
  const char* value = key.action == DeleteAction::set_default && !key.by_rule ? "DEFAULT" : "NULL";
  std::string assignments;
  for (const std::string& name : key.detached_columns())
    assignments += (assignments.empty() ? "" : ", ") + pg::quoted(name) + " = " + value;
  if (assignments.empty()) {
    if (count_remaining(k) == 0) return 0;
    throw Error(sqlstate::deletion_refused,
                key.child_quoted + "." + key.columns_text() + " cannot be set to null",
                "Rows refer by it to rows that would be deleted. Nothing was deleted.",
                "Drop its NOT NULL, or decide with purser.deletion_rule() to delete the rows.");
  }
  const std::string sql = "UPDATE " + key.child_relation + " AS c SET " + assignments + " FROM " +
                          at(key.parent).name + " AS p WHERE " + matches(k) + " AND " +
                          not_doomed(k);
  return pg::run_once(sql, {}, {}).processed();
}

// By identity, not by address: a trigger may have written a new version of the row.
std::string DoomedRows::delete_statement(int table) const {
  if (!is_collected(table)) {
    const int k = leaf_key(table);
    return "DELETE FROM " + schema_.key(k).child_relation + " AS c USING " +
           at(schema_.key(k).parent).name + " AS p WHERE " + matches(k);
  }
  return "DELETE FROM " + schema_.table(table).relation + " AS c USING " + at(table).name +
         " AS d WHERE " + same_row(table, "d", "c");
}

std::vector<std::uint64_t> DoomedRows::remove(const std::vector<int>& tables) const {
  if (tables.size() == 1)
    return {pg::run_once(delete_statement(tables.front()), {}, {}).processed()};
  std::string arms, counts;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const std::string arm = column('t', i);
    arms +=
        (i == 0 ? "WITH " : ", ") + arm + " AS (" + delete_statement(tables[i]) + " RETURNING 1)";
    counts += (i == 0 ? " SELECT " : ", ") + ("(SELECT pg_catalog.count(*) FROM " + arm + ")");
  }
  const pg::Rows rows = pg::run_once(arms + counts, {}, {});
  std::vector<std::uint64_t> removed;
  for (std::size_t i = 0; i < tables.size(); ++i)
    removed.push_back(static_cast<std::uint64_t>(rows[0].int8(static_cast<int>(i))));
  return removed;
}

bool DoomedRows::referred_to_by(int k) const {
  const DeletionKey& key = schema_.key(k);
  if (!is_collected(key.parent)) return false;
  const std::string sql = "SELECT EXISTS (SELECT FROM " + at(key.parent).name + " AS p JOIN " +
                          key.child_relation + " AS c ON " + matches(k) + ")";
  return pg::run_once(sql, {}, {})[0].boolean(0);
}

void DoomedRows::drop() const {
  std::string names;
  for (const Found& found : found_)
    if (!found.name.empty()) names += (names.empty() ? "" : ", ") + found.name;
  if (!names.empty()) pg::run_once("DROP TABLE " + names, {}, {});
}

}  // namespace purser
