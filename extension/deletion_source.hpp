// How the application's users are found and what an operator decided about rows that refer to them:
// the stored names, resolved to what the database holds now.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "extension/pg/statement.hpp"

namespace purser {

struct UserSource {
  Oid table = InvalidOid;
  std::string schema, name;
  std::string relation;  // "ONLY public.users", or without ONLY when it is partitioned
  std::string id_column, email_column;
  Oid id_type = InvalidOid;
  std::string id_equals;  // the operator that the unique index on the id supports
  std::optional<std::string> storage_prefix;
};

// What becomes of rows that refer to a doomed row.
enum class Treatment { remove, detach, refuse };

struct DeletionRule {
  Oid table = InvalidOid;
  std::string column;  // empty: every foreign key of the table
  Treatment treatment = Treatment::remove;
};

// A row of the table of users.
struct User {
  std::string id;  // as the database writes it: 7, not 007
  std::optional<std::string> email;
};

// PU009 when no table is configured, or it is no longer what was configured.
UserSource load_user_source();

// PU009 when a rule names a table or column that is no longer there.
std::vector<DeletionRule> load_deletion_rules();

// The id as a value of the id column's type; PU014 when it cannot be one.
pg::Value typed_id(const UserSource& source, std::string_view user_id);

// Reads the user's row with the caller's rights; PU012 when there is none.
User find_user(const UserSource& source, std::string_view user_id, bool lock);

// The user's prefix in storage. PU009 when the id would lead out of it.
std::optional<std::string> storage_path(const UserSource& source, const User& user);

}  // namespace purser
