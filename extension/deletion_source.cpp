// Reads purser.user_source and purser.deletion_rule as the owner, and the user's row as the caller.
#include "extension/deletion_source.hpp"
#include "core/error.hpp"
#include "extension/pg/name.hpp"

extern "C" {
#include "utils/lsyscache.h"
}

namespace purser {

namespace {

pg::Statement select_source{
    "SELECT s.table_schema, s.table_name, s.id_column, s.email_column, s.storage_prefix"
    "  FROM purser.user_source AS s",
    {}};

pg::Statement resolve_source{
    "SELECT c.oid::bigint, c.relkind OPERATOR(pg_catalog.=) 'p', id.atttypid::bigint,"
    "       pg_catalog.format('OPERATOR(%I.%s)', n2.nspname, o.oprname),"
    "       email.attnum IS NOT NULL"
    "  FROM pg_catalog.pg_class AS c"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
    "  JOIN pg_catalog.pg_attribute AS id ON id.attrelid OPERATOR(pg_catalog.=) c.oid"
    "   AND id.attname OPERATOR(pg_catalog.=) $3 AND NOT id.attisdropped"
    "  LEFT JOIN pg_catalog.pg_attribute AS email ON email.attrelid OPERATOR(pg_catalog.=) c.oid"
    "   AND email.attname OPERATOR(pg_catalog.=) $4 AND NOT email.attisdropped"
    "  JOIN pg_catalog.pg_index AS i ON i.indrelid OPERATOR(pg_catalog.=) c.oid"
    "   AND i.indkey[0] OPERATOR(pg_catalog.=) id.attnum"
    "   AND i.indnkeyatts OPERATOR(pg_catalog.=) 1"
    "   AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"
    "  JOIN pg_catalog.pg_opclass AS k ON k.oid OPERATOR(pg_catalog.=) i.indclass[0]"
    "  JOIN pg_catalog.pg_amop AS a ON a.amopfamily OPERATOR(pg_catalog.=) k.opcfamily"
    "   AND a.amoplefttype OPERATOR(pg_catalog.=) k.opcintype"
    "   AND a.amoprighttype OPERATOR(pg_catalog.=) k.opcintype"
    "   AND a.amopstrategy OPERATOR(pg_catalog.=) 3"
    "  JOIN pg_catalog.pg_operator AS o ON o.oid OPERATOR(pg_catalog.=) a.amopopr"
    "  JOIN pg_catalog.pg_namespace AS n2 ON n2.oid OPERATOR(pg_catalog.=) o.oprnamespace"
    " WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2"
    "   AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[])"
    " ORDER BY i.indisprimary DESC, i.indexrelid"
    " LIMIT 1",
    {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};

pg::Statement select_rules{
    "SELECT r.table_schema, r.table_name, r.column_name, r.rule, c.oid::bigint,"
    "       a.attnum IS NOT NULL"
    "  FROM purser.deletion_rule AS r"
    "  LEFT JOIN pg_catalog.pg_namespace AS n"
    "    ON n.nspname OPERATOR(pg_catalog.=) r.table_schema"
    "  LEFT JOIN pg_catalog.pg_class AS c"
    "    ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"
    "   AND c.relname OPERATOR(pg_catalog.=) r.table_name"
    "  LEFT JOIN pg_catalog.pg_attribute AS a"
    "    ON a.attrelid OPERATOR(pg_catalog.=) c.oid"
    "   AND a.attname OPERATOR(pg_catalog.=) r.column_name AND NOT a.attisdropped"
    " ORDER BY 1, 2, 3",
    {}};

pg::Statement select_status{
    "SELECT a.status FROM purser.account AS a WHERE a.account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

Treatment treatment_of(std::string_view rule) {
  if (rule == "delete") return Treatment::remove;
  return rule == "set_null" ? Treatment::detach : Treatment::refuse;
}

Error stale(const std::string& what, const std::string& call) {
  return Error(sqlstate::deletion_refused, what,
               "The schema has changed since it was configured. Nothing was deleted.",
               "Configure it again with purser." + call + ".");
}

Error no_such_user(std::string_view user_id) {
  pg::AsOwner owner;
  const pg::Rows account = select_status.run({pg::text(user_id)});
  const bool before = !account.empty() && account[0].text(0) == "deleted";
  return Error(sqlstate::unknown_name, "no such user \"" + std::string(user_id) + "\"",
               before ? "The account of that name is deleted already." : "",
               "Pass the value of the id column of the configured table of users.");
}

}  // namespace

UserSource load_user_source() {
  UserSource source;
  {
    pg::AsOwner owner;
    const pg::Rows rows = select_source.run({});
    if (rows.empty())
      throw Error(sqlstate::deletion_refused, "no table of users is configured",
                  "purser does not know where the application keeps its users.",
                  "Call purser.configure_users('public.users', 'id', 'email') first.");
    const pg::Row row = rows[0];
    source.schema = row.string(0);
    source.name = row.string(1);
    source.id_column = row.string(2);
    source.email_column = row.string(3);
    source.storage_prefix = row.optional_text(4);
  }
  const pg::Rows found =
      resolve_source.run({pg::text(source.schema), pg::text(source.name),
                          pg::text(source.id_column), pg::text(source.email_column)});
  const std::string table = pg::quoted(source.schema, source.name);
  if (found.empty() || !found[0].boolean(4))
    throw stale("the table of users " + table + " has no unique column \"" + source.id_column +
                    "\" or no column \"" + source.email_column + "\" any more",
                "configure_users()");
  source.table = static_cast<Oid>(found[0].int8(0));
  source.relation = found[0].boolean(1) ? table : "ONLY " + table;
  source.id_type = static_cast<Oid>(found[0].int8(2));
  source.id_equals = found[0].string(3);
  return source;
}

std::vector<DeletionRule> load_deletion_rules() {
  pg::AsOwner owner;
  std::vector<DeletionRule> rules;
  const pg::Rows rows = select_rules.run({});
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    const std::string column = row.string(2);
    const std::string table = pg::quoted(row.text(0), row.text(1));
    if (row.is_null(4) || (!column.empty() && !row.boolean(5)))
      throw stale("a deletion rule names " + table +
                      (column.empty() ? "" : " column \"" + column + "\"") + ", which is not there",
                  "deletion_rule(), or take it back with purser.remove_deletion_rule()");
    rules.push_back({static_cast<Oid>(row.int8(4)), column, treatment_of(row.text(3))});
  }
  return rules;
}

pg::Value typed_id(const UserSource& source, std::string_view user_id) {
  const std::string text(user_id);
  const char* spelled = text.c_str();
  try {
    return {pg::guarded([&] {
              Oid input;
              Oid io_parameter;
              getTypeInputInfo(source.id_type, &input, &io_parameter);
              return OidInputFunctionCall(input, const_cast<char*>(spelled), io_parameter, -1);
            }),
            false};
  } catch (const pg::PgError& e) {
    // What input functions raise for text that is no value of their type or domain.
    const int category = ERRCODE_TO_CATEGORY(e.error->sqlerrcode);
    if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
      throw;
    throw Error(sqlstate::invalid_argument, "user id \"" + text + "\" is not an id",
                std::string("The database says: ") + e.error->message + ".",
                "Pass the value of the id column of the configured table of users.");
  }
}

User find_user(const UserSource& source, std::string_view user_id, bool lock) {
  const std::string sql = "SELECT u." + pg::quoted(source.id_column) + "::pg_catalog.text, u." +
                          pg::quoted(source.email_column) + "::pg_catalog.text FROM " +
                          source.relation + " AS u WHERE u." + pg::quoted(source.id_column) + " " +
                          source.id_equals + " $1" + (lock ? " FOR UPDATE" : "");
  const pg::Rows rows = pg::run_once(sql, {source.id_type}, {typed_id(source, user_id)});
  if (rows.empty()) throw no_such_user(user_id);
  return {rows[0].string(0), rows[0].optional_text(1)};
}

std::optional<std::string> storage_path(const UserSource& source, const User& user) {
  if (!source.storage_prefix) return std::nullopt;
  if (user.id == "." || user.id == ".." || user.id.find_first_of("/\\{}") != std::string::npos)
    throw Error(sqlstate::deletion_refused,
                "user id \"" + user.id + "\" cannot be part of a storage path",
                "Its objects could not be told apart from those of others. Nothing was deleted.",
                "Remove the storage prefix with purser.configure_users() and clean up by hand.");
  std::string path = *source.storage_prefix;
  constexpr std::string_view place = "{id}";
  for (std::size_t at = path.find(place); at != std::string::npos;
       at = path.find(place, at + user.id.size()))
    path.replace(at, place.size(), user.id);
  return path;
}

}  // namespace purser
