// Ordering by the rules in core, and wording for rows that stand in the way.
#include "extension/deletion_order.hpp"

#include <algorithm>

#include "extension/pg/name.hpp"

namespace purser {

namespace {

std::string rows_text(std::uint64_t rows) {
  return std::to_string(rows) + (rows == 1 ? " row" : " rows");
}

std::string rule_call(const DeletionKey& key, const char* rule) {
  return "purser.deletion_rule(" + pg::literal(key.child_quoted) + ", '" + rule +
         "', column_name => " + pg::literal(key.columns.front().child) + ")";
}

std::string columns_of(const DeletionSchema& schema, const std::vector<int>& keys) {
  std::string text;
  for (int k : keys) text += (text.empty() ? "" : ", ") + schema.key(k).columns_text();
  return text;
}

// Why rows reached by a key are somebody else's: "name another user in author_id".
std::string reason_text(const DeletionSchema& schema, int k) {
  if (schema.key(k).child == DeletionSchema::users) return "are other users";
  const std::string named = columns_of(schema, schema.user_keys(k));
  const std::string hanging = schema.key(k).parent == DeletionSchema::users
                                  ? ""
                                  : columns_of(schema, schema.binding_keys(k));
  std::string text = named.empty() ? "" : "name another user in " + named;
  if (!hanging.empty())
    text += std::string(text.empty() ? "" : " or ") + "hang by " + hanging + " on rows that stay";
  return text;
}

Error others_would_go(const DeletionSchema& schema, const DoomedRows& doomed) {
  std::uint64_t total = 0;
  std::string tables;
  for (int t = 0; t < static_cast<int>(schema.tables.size()); ++t) {
    if (doomed.others(t) == 0) continue;
    total += doomed.others(t);
    tables += (tables.empty() ? "" : ", ") + schema.table(t).quoted + " " +
              std::to_string(doomed.others(t));
  }
  std::string detail = "Rows of other users by table: " + tables + ".";
  std::string hint = "Decide, for each foreign key, with ";
  for (const auto& [k, rows] : doomed.others_by_key()) {
    const DeletionKey& key = schema.key(k);
    detail += " Of " + key.child_quoted + ", reached by " + key.columns_text() + ", " +
              std::to_string(rows) + " " + reason_text(schema, k) + ".";
    if (k != doomed.others_by_key().begin()->first) hint += "; ";
    const bool keep = !key.detached_columns().empty();
    hint += rule_call(key, key.child == DeletionSchema::users ? "set_null" : "delete");
    if (key.child != DeletionSchema::users && keep) hint += " or 'set_null'";
  }
  return Error(sqlstate::deletion_refused,
               "the deletion would take " + rows_text(total) + " of other users", detail,
               hint + ".");
}

}  // namespace

std::vector<std::vector<int>> deletion_order(const DeletionSchema& schema,
                                             const DoomedRows& doomed) {
  std::vector<bool> any;
  for (int t = 0; t < static_cast<int>(schema.tables.size()); ++t) any.push_back(doomed.any_in(t));
  std::vector<std::vector<int>> order;
  for (Component& component : order_deletion(any, schema.plain_keys))
    order.push_back(std::move(component.tables));
  std::reverse(order.begin(), order.end());
  return order;
}

std::vector<int> keys_to(const DeletionSchema& schema, const std::vector<int>& tables,
                         Treatment treatment) {
  std::vector<int> keys;
  for (int table : tables)
    for (int k : schema.keys_to[static_cast<std::size_t>(table)])
      if (schema.key(k).treatment == treatment) keys.push_back(k);
  return keys;
}

std::string collateral_text(const DeletionSchema& schema, int k) {
  const DeletionKey& key = schema.key(k);
  std::string text = "They " + reason_text(schema, k) + ".";
  if (!key.detached_columns().empty())
    text += "\nTo keep them: SELECT " + rule_call(key, "set_null") + ";";
  if (key.child != DeletionSchema::users)
    text += "\nTo delete them: SELECT " + rule_call(key, "delete") + ";";
  return text;
}

std::vector<Error> row_blockers(const DeletionSchema& schema, const DoomedRows& doomed) {
  std::vector<Error> blockers;
  if (doomed.any_others()) blockers.push_back(others_would_go(schema, doomed));
  for (std::size_t i = 0; i < schema.keys.size(); ++i) {
    const int k = static_cast<int>(i);
    const DeletionKey& key = schema.key(k);
    if (!schema.reached(key.parent) || key.treatment == Treatment::remove) continue;
    if (key.treatment == Treatment::detach && !key.detached_columns().empty()) continue;
    const std::uint64_t rows = doomed.count_remaining(k);
    if (rows == 0) continue;
    if (key.treatment == Treatment::refuse)
      blockers.push_back(
          Error(sqlstate::deletion_refused,
                rows_text(rows) + " of " + key.child_quoted + " may not be deleted",
                "Found by " + schema.path_by(k) + ", and a deletion rule says refuse.",
                "Deal with these rows first, or change the rule with purser.deletion_rule()."));
    else
      blockers.push_back(
          Error(sqlstate::deletion_refused,
                key.child_quoted + "." + key.columns_text() + " cannot be set to null",
                rows_text(rows) + " found by " + schema.path_by(k) + " would refer to nothing.",
                "Drop its NOT NULL, or decide to delete the rows with " + rule_call(key, "delete") +
                    "."));
  }
  return blockers;
}

}  // namespace purser
