// Reads pg_constraint into a graph. Partitions stand for the table they are part of: only keys that
// were declared count (conparentid = 0), the copies that partitions carry do not.
#include <algorithm>
#include <map>
#include <set>

#include "core/error.hpp"
#include "extension/deletion_catalog.hpp"
#include "extension/pg/name.hpp"

namespace purser {

namespace {

// Every declared key of the database. $1: tables that have a rule, for which the columns are needed
// before it is known which keys matter.
pg::Statement select_keys{
    "SELECT c.oid::bigint, c.conname::pg_catalog.text, c.conrelid::bigint, c.confrelid::bigint,"
    "       CASE WHEN child.relispartition"
    "            THEN pg_catalog.pg_partition_root(c.conrelid)::bigint"
    "            ELSE c.conrelid::bigint END,"
    "       CASE WHEN parent.relispartition"
    "            THEN pg_catalog.pg_partition_root(c.confrelid)::bigint"
    "            ELSE c.confrelid::bigint END,"
    "       c.confdeltype::pg_catalog.text, c.confmatchtype::pg_catalog.text,"
    "       CASE WHEN c.conrelid::bigint OPERATOR(pg_catalog.=) ANY ($1)"
    "            THEN ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a"
    "                        WHERE a.attrelid OPERATOR(pg_catalog.=) c.conrelid"
    "                          AND a.attnum OPERATOR(pg_catalog.=) ANY (c.conkey))"
    "            ELSE '{}' END"
    "  FROM pg_catalog.pg_constraint AS c"
    "  JOIN pg_catalog.pg_class AS child ON child.oid OPERATOR(pg_catalog.=) c.conrelid"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) child.relnamespace"
    "  JOIN pg_catalog.pg_class AS parent ON parent.oid OPERATOR(pg_catalog.=) c.confrelid"
    " WHERE c.contype OPERATOR(pg_catalog.=) 'f' AND c.conparentid OPERATOR(pg_catalog.=) 0"
    "   AND child.relpersistence OPERATOR(pg_catalog.<>) 't'"
    " ORDER BY n.nspname, child.relname, c.conname",
    {INT8ARRAYOID}};

// $1: tables. The rest is what the current user may do, and how rows are told apart.
pg::Statement describe_tables{
    "SELECT t.oid::bigint, n.nspname::pg_catalog.text, t.relname::pg_catalog.text,"
    "       t.relkind OPERATOR(pg_catalog.=) 'p',"
    "       may.enter AND pg_catalog.has_table_privilege(t.oid, 'SELECT'),"
    "       may.enter AND pg_catalog.has_table_privilege(t.oid, 'UPDATE'),"
    "       may.enter AND pg_catalog.has_table_privilege(t.oid, 'DELETE'),"
    "       ARRAY(SELECT a.attname::pg_catalog.text"
    "               FROM pg_catalog.generate_series(0, i.indnkeyatts::integer"
    "                                                    OPERATOR(pg_catalog.-) 1) AS k"
    "               JOIN pg_catalog.pg_attribute AS a"
    "                 ON a.attrelid OPERATOR(pg_catalog.=) t.oid"
    "                AND a.attnum OPERATOR(pg_catalog.=) i.indkey[k]"
    "              ORDER BY k),"
    "       ARRAY(SELECT pg_catalog.format('OPERATOR(%I.%s)', os.nspname, o.oprname)"
    "               FROM pg_catalog.generate_series(0, i.indnkeyatts::integer"
    "                                                    OPERATOR(pg_catalog.-) 1) AS k"
    "               JOIN pg_catalog.pg_opclass AS oc"
    "                 ON oc.oid OPERATOR(pg_catalog.=) i.indclass[k]"
    "               JOIN pg_catalog.pg_amop AS ao"
    "                 ON ao.amopfamily OPERATOR(pg_catalog.=) oc.opcfamily"
    "                AND ao.amoplefttype OPERATOR(pg_catalog.=) oc.opcintype"
    "                AND ao.amoprighttype OPERATOR(pg_catalog.=) oc.opcintype"
    "                AND ao.amopstrategy OPERATOR(pg_catalog.=) 3"
    "               JOIN pg_catalog.pg_operator AS o"
    "                 ON o.oid OPERATOR(pg_catalog.=) ao.amopopr"
    "               JOIN pg_catalog.pg_namespace AS os"
    "                 ON os.oid OPERATOR(pg_catalog.=) o.oprnamespace"
    "              ORDER BY k),"
    "       ARRAY(SELECT g.tgname::pg_catalog.text FROM pg_catalog.pg_trigger AS g"
    "              WHERE g.tgrelid OPERATOR(pg_catalog.=) t.oid AND NOT g.tgisinternal"
    "                AND g.tgenabled OPERATOR(pg_catalog.<>) 'D'"
    "                AND (g.tgtype::integer OPERATOR(pg_catalog.&) 8) OPERATOR(pg_catalog.<>) 0"
    "              ORDER BY g.tgname),"
    "       ARRAY(SELECT g.tgname::pg_catalog.text FROM pg_catalog.pg_trigger AS g"
    "              WHERE g.tgrelid OPERATOR(pg_catalog.=) t.oid AND NOT g.tgisinternal"
    "                AND g.tgenabled OPERATOR(pg_catalog.<>) 'D'"
    "                AND (g.tgtype::integer OPERATOR(pg_catalog.&) 16) OPERATOR(pg_catalog.<>) 0"
    "              ORDER BY g.tgname),"
    "       may.enter"
    "  FROM pg_catalog.pg_class AS t"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace"
    " CROSS JOIN LATERAL (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS enter) AS may"
    "  LEFT JOIN LATERAL ("
    "       SELECT u.* FROM pg_catalog.pg_index AS u"
    "        WHERE u.indrelid OPERATOR(pg_catalog.=) t.oid"
    "          AND u.indisunique AND u.indimmediate AND u.indisvalid"
    "          AND u.indpred IS NULL AND u.indexprs IS NULL"
    "          AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a"
    "                           WHERE a.attrelid OPERATOR(pg_catalog.=) t.oid"
    "                             AND a.attnum OPERATOR(pg_catalog.=) ANY"
    "                                 ((u.indkey::pg_catalog.int2[])"
    "                                  [0:u.indnkeyatts OPERATOR(pg_catalog.-) 1])"
    "                             AND NOT a.attnotnull)"
    "        ORDER BY u.indisprimary DESC, u.indnkeyatts, u.indexrelid"
    "        LIMIT 1) AS i ON true"
    " WHERE t.oid::bigint OPERATOR(pg_catalog.=) ANY ($1)",
    {INT8ARRAYOID}};

// $1: keys. One row for each column of each. A key is indexed when the first columns of an index
// are its own, in any order: then its rows are found without reading the table.
pg::Statement describe_keys{
    "SELECT c.oid::bigint, n.nspname::pg_catalog.text, r.relname::pg_catalog.text,"
    "       r.relkind OPERATOR(pg_catalog.=) 'p',"
    "       ca.attname::pg_catalog.text, pa.attname::pg_catalog.text,"
    "       pg_catalog.format('OPERATOR(%I.%s)', os.nspname, o.oprname),"
    "       CASE WHEN ca.attcollation OPERATOR(pg_catalog.<>) pa.attcollation"
    "            THEN pg_catalog.format('%I.%I', ls.nspname, l.collname) ELSE '' END,"
    "       NOT ca.attnotnull AND ca.attgenerated OPERATOR(pg_catalog.=) '',"
    "       COALESCE(k.child OPERATOR(pg_catalog.=) ANY (" PURSER_CONFDELSETCOLS
    "), false),"
    "       EXISTS (SELECT FROM pg_catalog.pg_index AS i"
    "                 JOIN pg_catalog.pg_class AS ic"
    "                   ON ic.oid OPERATOR(pg_catalog.=) i.indexrelid"
    "                 JOIN pg_catalog.pg_am AS am"
    "                   ON am.oid OPERATOR(pg_catalog.=) ic.relam"
    "                WHERE i.indrelid OPERATOR(pg_catalog.=) c.conrelid"
    "                  AND i.indisvalid"
    "                  AND am.amname OPERATOR(pg_catalog.=) ANY ('{btree,hash}'::pg_catalog.name[])"
    "                  AND (i.indpred IS NULL"
    "                       OR pg_catalog.pg_get_expr(i.indpred, i.indrelid)"
    "                          OPERATOR(pg_catalog.=)"
    "                          pg_catalog.format('(%I IS NOT NULL)', ca.attname))"
    "                  AND (i.indkey::pg_catalog.int2[])"
    "                      [0:pg_catalog.cardinality(c.conkey) OPERATOR(pg_catalog.-) 1]"
    "                      OPERATOR(pg_catalog.@>) c.conkey)"
    "  FROM pg_catalog.pg_constraint AS c"
    "  JOIN pg_catalog.pg_class AS r ON r.oid OPERATOR(pg_catalog.=) c.conrelid"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace"
    " CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey),"
    "                               pg_catalog.unnest(c.conpfeqop))"
    "                    WITH ORDINALITY AS k (child, parent, operator, position)"
    "  JOIN pg_catalog.pg_attribute AS ca"
    "    ON ca.attrelid OPERATOR(pg_catalog.=) c.conrelid"
    "   AND ca.attnum OPERATOR(pg_catalog.=) k.child"
    "  JOIN pg_catalog.pg_attribute AS pa"
    "    ON pa.attrelid OPERATOR(pg_catalog.=) c.confrelid"
    "   AND pa.attnum OPERATOR(pg_catalog.=) k.parent"
    "  JOIN pg_catalog.pg_operator AS o ON o.oid OPERATOR(pg_catalog.=) k.operator"
    "  JOIN pg_catalog.pg_namespace AS os ON os.oid OPERATOR(pg_catalog.=) o.oprnamespace"
    "  LEFT JOIN pg_catalog.pg_collation AS l"
    "    ON l.oid OPERATOR(pg_catalog.=) pa.attcollation"
    "  LEFT JOIN pg_catalog.pg_namespace AS ls ON ls.oid OPERATOR(pg_catalog.=) l.collnamespace"
    " WHERE c.oid::bigint OPERATOR(pg_catalog.=) ANY ($1)"
    " ORDER BY c.oid, k.position",
    {INT8ARRAYOID}};

std::size_t at(int index) {
  return static_cast<std::size_t>(index);
}

DeleteAction action_of(char letter) {
  switch (letter) {
    case 'r':
      return DeleteAction::restricted;
    case 'c':
      return DeleteAction::cascade;
    case 'n':
      return DeleteAction::set_null;
    case 'd':
      return DeleteAction::set_default;
    default:
      return DeleteAction::no_action;
  }
}

bool detaches(DeleteAction action) {
  return action == DeleteAction::set_null || action == DeleteAction::set_default;
}

// Numbers tables in the order they are met; the table of users is the first.
class Numbering {
 public:
  explicit Numbering(DeletionSchema& schema) : schema_(schema) {}

  int operator()(std::int64_t oid) {
    const auto [found, fresh] = numbers_.emplace(oid, static_cast<int>(schema_.tables.size()));
    if (fresh) {
      schema_.tables.emplace_back();
      schema_.tables.back().oid = static_cast<Oid>(oid);
    }
    return found->second;
  }

 private:
  DeletionSchema& schema_;
  std::map<std::int64_t, int> numbers_;
};

// The rule for a column goes before the rule for its table.
void apply_rules(DeletionKey& key, Oid child_table, const std::vector<std::string>& columns,
                 const std::vector<DeletionRule>& rules) {
  key.treatment = detaches(key.action) ? Treatment::detach : Treatment::remove;
  for (const DeletionRule& rule : rules) {
    if (rule.table != key.child_relid && rule.table != child_table) continue;
    const bool named = std::find(columns.begin(), columns.end(), rule.column) != columns.end();
    if (!named && !rule.column.empty()) continue;
    if (key.by_rule && rule.column.empty()) continue;
    key.by_rule = true;
    key.rule_column = rule.column;
    key.treatment = rule.treatment;
  }
}

std::vector<std::int64_t> rule_tables(const std::vector<DeletionRule>& rules) {
  std::vector<std::int64_t> tables;
  for (const DeletionRule& rule : rules) tables.push_back(rule.table);
  return tables;
}

void read_keys(DeletionSchema& schema, const UserSource& source,
               const std::vector<DeletionRule>& rules) {
  Numbering number(schema);
  number(source.table);
  const pg::Rows rows = select_keys.run({pg::int8_array(rule_tables(rules))});
  schema.keys.reserve(rows.size());
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    DeletionKey key;
    key.oid = static_cast<Oid>(row.int8(0));
    key.name = row.string(1);
    key.child_relid = static_cast<Oid>(row.int8(2));
    key.parent_relid = static_cast<Oid>(row.int8(3));
    key.child = number(row.int8(4));
    key.parent = number(row.int8(5));
    key.action = action_of(row.text(6).front());
    key.match_full = row.text(7) == "f";
    apply_rules(key, static_cast<Oid>(row.int8(4)), pg::read_text_array(row.datum(8)), rules);
    schema.keys.push_back(std::move(key));
  }
}

void plan(DeletionSchema& schema) {
  const int table_count = static_cast<int>(schema.tables.size());
  for (const DeletionKey& key : schema.keys)
    schema.plain_keys.push_back(
        {key.oid, key.child, key.parent, key.action, key.treatment == Treatment::remove});
  schema.graph = plan_deletion(table_count, DeletionSchema::users, schema.plain_keys);
  schema.component.resize(at(table_count));
  for (std::size_t c = 0; c < schema.graph.parents_first.size(); ++c)
    for (int table : schema.graph.parents_first[c].tables)
      schema.component[at(table)] = static_cast<int>(c);
  schema.keys_to.resize(at(table_count));
  schema.keys_from.resize(at(table_count));
  for (std::size_t k = 0; k < schema.keys.size(); ++k) {
    if (!schema.reached(schema.keys[k].parent)) continue;
    schema.keys_to[at(schema.keys[k].parent)].push_back(static_cast<int>(k));
    schema.keys_from[at(schema.keys[k].child)].push_back(static_cast<int>(k));
  }
}

void describe(DeletionTable& table, const pg::Row& row) {
  table.schema = row.string(1);
  table.name = row.string(2);
  table.quoted = pg::quoted(table.schema, table.name);
  const bool partitioned = row.boolean(3);
  table.relation = partitioned ? table.quoted : "ONLY " + table.quoted;
  table.may_enter = row.boolean(11);
  table.may_read = row.boolean(4);
  table.may_update = row.boolean(5);
  table.may_delete = row.boolean(6);
  table.identity = pg::read_text_array(row.datum(7));
  table.identity_equals = pg::read_text_array(row.datum(8));
  table.delete_triggers = pg::read_text_array(row.datum(9));
  table.update_triggers = pg::read_text_array(row.datum(10));
  if (!table.identity.empty()) return;
  table.identity = {"ctid"};
  if (partitioned) table.identity.push_back("tableoid");
  table.identity_equals.assign(table.identity.size(), "OPERATOR(pg_catalog.=)");
}

void read_tables(DeletionSchema& schema) {
  std::vector<std::int64_t> wanted;
  std::map<std::int64_t, int> numbers;
  for (std::size_t t = 0; t < schema.tables.size(); ++t) {
    if (!schema.graph.reached[t] && schema.keys_from[t].empty()) continue;
    wanted.push_back(schema.tables[t].oid);
    numbers.emplace(schema.tables[t].oid, static_cast<int>(t));
  }
  const pg::Rows rows = describe_tables.run({pg::int8_array(wanted)});
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    describe(schema.tables[at(numbers.at(rows[i].int8(0)))], rows[i]);
}

void describe(DeletionKey& key, const pg::Row& row) {
  key.child_quoted = pg::quoted(row.text(1), row.text(2));
  key.child_relation = row.boolean(3) ? key.child_quoted : "ONLY " + key.child_quoted;
  KeyColumn column;
  column.child = row.string(4);
  column.parent = row.string(5);
  column.equals = row.string(6);
  column.collation = row.string(7);
  column.nullable = row.boolean(8);
  column.set_by_key = row.boolean(9);
  key.columns.push_back(std::move(column));
  key.indexed |= row.boolean(10);
}

void read_key_columns(DeletionSchema& schema) {
  std::vector<std::int64_t> wanted;
  std::map<std::int64_t, std::size_t> numbers;
  for (std::size_t k = 0; k < schema.keys.size(); ++k) {
    if (!schema.reached(schema.keys[k].parent)) continue;
    wanted.push_back(schema.keys[k].oid);
    numbers.emplace(schema.keys[k].oid, k);
  }
  const pg::Rows rows = describe_keys.run({pg::int8_array(wanted)});
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    describe(schema.keys[numbers.at(rows[i].int8(0))], rows[i]);
}

void note_referenced_columns(DeletionSchema& schema) {
  for (const DeletionKey& key : schema.keys) {
    if (!schema.reached(key.parent)) continue;
    DeletionTable& parent = schema.tables[at(key.parent)];
    parent.by_partition |= key.parent_relid != parent.oid;
    for (const KeyColumn& column : key.columns)
      if (std::find(parent.referenced.begin(), parent.referenced.end(), column.parent) ==
          parent.referenced.end())
        parent.referenced.push_back(column.parent);
  }
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

}  // namespace

bool DeletionKey::may_be_null() const {
  return std::any_of(columns.begin(), columns.end(), [](const KeyColumn& c) { return c.nullable; });
}

std::string DeletionKey::columns_text() const {
  std::vector<std::string> names;
  for (const KeyColumn& column : columns) names.push_back(pg::quoted(column.child));
  return names.size() == 1 ? names.front() : "(" + joined(names, ", ") + ")";
}

// The key's own choice of columns, else the rule's column, else all that may be NULL: one NULL is
// enough to refer to nothing, unless the key is MATCH FULL.
std::vector<std::string> DeletionKey::detached_columns() const {
  std::vector<std::string> chosen, named_by_rule, nullable;
  for (const KeyColumn& column : columns) {
    if (column.set_by_key) chosen.push_back(column.child);
    if (column.child == rule_column && column.nullable) named_by_rule.push_back(column.child);
    if (column.nullable || action == DeleteAction::set_default) nullable.push_back(column.child);
  }
  if (!chosen.empty()) return chosen;
  if (match_full && nullable.size() < columns.size()) return {};
  return named_by_rule.empty() || match_full ? nullable : named_by_rule;
}

std::vector<int> DeletionSchema::binding_keys(int reached_by) const {
  std::vector<int> binding;
  const DeletionKey& reached_key = key(reached_by);
  for (int k : keys_from[at(reached_key.child)]) {
    const DeletionKey& other = key(k);
    if (k != reached_by && other.parent != users && other.treatment == Treatment::remove &&
        !other.may_be_null() && other.child_relid == reached_key.child_relid &&
        component[at(other.parent)] != component[at(other.child)])
      binding.push_back(k);
  }
  return binding;
}

std::vector<int> DeletionSchema::user_keys(int reached_by) const {
  std::vector<int> naming;
  const DeletionKey& reached_key = key(reached_by);
  for (int k : keys_from[at(reached_key.child)]) {
    const DeletionKey& other = key(k);
    const bool same_rows = other.child_relid == reached_key.child_relid ||
                           other.child_relid == table(reached_key.child).oid;
    if (k != reached_by && other.parent == users && same_rows) naming.push_back(k);
  }
  return naming;
}

std::string DeletionSchema::short_name(int index) const {
  const DeletionTable& named = table(index);
  return named.schema == table(users).schema ? pg::quoted(named.name) : named.quoted;
}

std::string DeletionSchema::path_to(int index) const {
  std::string path = short_name(users);
  for (int k : graph.path[at(index)])
    path += " ← " + short_name(key(k).child) + "." + key(k).columns_text();
  return path;
}

std::string DeletionSchema::path_by(int index) const {
  const DeletionKey& last = key(index);
  return path_to(last.parent) + " ← " + short_name(last.child) + "." + last.columns_text();
}

DeletionSchema load_deletion_schema(const UserSource& source,
                                    const std::vector<DeletionRule>& rules) {
  DeletionSchema schema;
  read_keys(schema, source, rules);
  plan(schema);
  read_tables(schema);
  read_key_columns(schema);
  note_referenced_columns(schema);
  return schema;
}

std::string missing_privileges(const DeletionSchema& schema, bool dry_run) {
  std::set<std::string> to_enter;
  std::vector<std::string> to_delete, to_detach;
  for (std::size_t t = 0; t < schema.tables.size(); ++t) {
    const DeletionTable& table = schema.tables[t];
    const bool doomed = schema.graph.reached[t];
    if (!doomed && schema.keys_from[t].empty()) continue;
    if (!table.may_enter) to_enter.insert(pg::quoted(table.schema));
    const bool enough =
        table.may_read && (dry_run || (table.may_update && (table.may_delete || !doomed)));
    if (!enough) (doomed ? to_delete : to_detach).push_back(table.quoted);
  }
  const std::string role = pg::current_role();
  std::vector<std::string> grants;
  const auto grant = [&](const std::string& what, const std::vector<std::string>& objects) {
    if (!objects.empty())
      grants.push_back("GRANT " + what + joined(objects, ", ") + " TO " + role + ";");
  };
  grant("USAGE ON SCHEMA ", {to_enter.begin(), to_enter.end()});
  grant(dry_run ? "SELECT ON " : "SELECT, UPDATE, DELETE ON ", to_delete);
  grant(dry_run ? "SELECT ON " : "SELECT, UPDATE ON ", to_detach);
  return joined(grants, " ");
}

void require_privileges(const DeletionSchema& schema, bool dry_run) {
  const std::string grants = missing_privileges(schema, dry_run);
  if (grants.empty()) return;
  throw Error(sqlstate::not_permitted,
              pg::current_role() + " lacks privileges on tables that hold rows of users",
              "A deletion acts on the application's tables with the rights of its caller.", grants);
}

}  // namespace purser
