// plan_user_deletion and prepare_user_deletion: what a deletion would do, and what makes it
// possible.
#include "core/error.hpp"
#include "extension/deletion_guard.hpp"
#include "extension/deletion_order.hpp"
#include "extension/deletion_rows.hpp"
#include "extension/pg/name.hpp"
#include "extension/pg/rehearsal.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

// Warnings of one step, a line each.
class Warnings {
 public:
  void add(const std::string& line) { text_ += (text_.empty() ? "" : "\n") + line; }
  std::optional<std::string> text() const {
    return text_.empty() ? std::nullopt : std::optional(text_);
  }

 private:
  std::string text_;
};

struct Step {
  const char* action;
  std::optional<std::string> table;
  std::optional<std::int64_t> rows;
  std::optional<std::string> path;
  std::optional<std::string> warning;
};

std::int64_t signed_count(std::uint64_t rows) {
  return static_cast<std::int64_t>(rows);
}

// Writes the steps of a plan in order.
class Plan {
 public:
  Plan(pg::RowSet& result, const DeletionSchema& schema, const DoomedRows& doomed)
      : result_(result), schema_(schema), doomed_(doomed) {}

  void write(const User& user, const UserSource& source) {
    for (const std::vector<int>& tables : deletion_order(schema_, doomed_)) write_component(tables);
    write_unindexed();
    write_storage(user, source);
    write_collateral();
    write_refusals(user);
  }

 private:
  void add(const Step& step) {
    result_.add({pg::int4(++number_), pg::text(step.action), pg::text_or_null(step.table),
                 pg::int8(step.rows), pg::text_or_null(step.path), pg::text_or_null(step.warning)});
  }

  // Rows that stay are detached before what they refer to goes.
  void write_component(const std::vector<int>& tables) {
    for (int k : keys_to(schema_, tables, Treatment::detach)) write_detached(k);
    for (int table : tables) write_deleted(table);
  }

  void write_detached(int k) {
    const DeletionKey& key = schema_.key(k);
    const std::uint64_t rows = doomed_.count_remaining(k);
    if (rows == 0) return;
    Warnings warnings;
    warn_of_index(k, warnings);
    warn_of_triggers("UPDATE", schema_.table(key.child).update_triggers, warnings);
    add({"set_null", key.child_quoted, signed_count(rows), schema_.path_by(k), warnings.text()});
  }

  void write_deleted(int table) {
    if (doomed_.own(table) == 0) return;
    Warnings warnings;
    for (int k : schema_.keys_from[static_cast<std::size_t>(table)])
      if (schema_.key(k).treatment == Treatment::remove) warn_of_index(k, warnings);
    warn_of_triggers("DELETE", schema_.table(table).delete_triggers, warnings);
    add({"delete", schema_.table(table).quoted, signed_count(doomed_.own(table)),
         schema_.path_to(table), warnings.text()});
  }

  // Keys that have to be read through although no row of this user is behind them.
  void write_unindexed() {
    for (int k = 0; k < static_cast<int>(schema_.keys.size()); ++k) {
      if (!schema_.reached(schema_.key(k).parent) || !doomed_.any_in(schema_.key(k).parent))
        continue;
      Warnings warnings;
      warn_of_index(k, warnings);
      if (!warnings.text()) continue;
      const bool detached = schema_.key(k).treatment != Treatment::remove;
      add({detached ? "set_null" : "delete", schema_.key(k).child_quoted, 0, schema_.path_by(k),
           warnings.text()});
    }
  }

  void write_storage(const User& user, const UserSource& source) {
    try {
      if (const auto prefix = storage_path(source, user))
        add({"storage",
             {},
             {},
             prefix,
             "Objects are not counted here; a job removes them after the commit."});
    } catch (const Error& error) {
      refuse(error);
    }
  }

  void write_collateral() {
    for (const auto& [k, rows] : doomed_.others_by_key()) {
      const DeletionKey& key = schema_.key(k);
      add({"collateral", key.child_quoted, signed_count(rows), schema_.path_by(k),
           collateral_text(schema_, k)});
    }
    for (int t = 0; t < static_cast<int>(schema_.tables.size()); ++t) {
      std::uint64_t rows = doomed_.others(t);
      for (const auto& [k, entered] : doomed_.others_by_key())
        if (schema_.key(k).child == t) rows -= entered;
      if (rows > 0)
        add({"collateral",
             schema_.table(t).quoted,
             signed_count(rows),
             {},
             "They belong to rows of other users."});
    }
  }

  void write_refusals(const User& user) {
    for (const Blocker& blocker : account_blockers(user.id, account_state(user.id, false)))
      refuse(blocker.error);
    for (const Error& error : row_blockers(schema_, doomed_)) refuse(error);
    const std::string grants = missing_privileges(schema_, false);
    if (!grants.empty())
      add({"refuse", {}, {}, {}, pg::current_role() + " lacks privileges to delete.\n" + grants});
  }

  void refuse(const Error& error) {
    add({"refuse", {}, {}, {}, error.message + (error.hint.empty() ? "" : "\n" + error.hint)});
  }

  // Once for each key, with the step that meets it first.
  void warn_of_index(int k, Warnings& warnings) {
    const DeletionKey& key = schema_.key(k);
    if (key.indexed || warned_[k] || !doomed_.any_in(key.parent)) return;
    warned_[k] = true;
    const std::string columns = key.columns_text();
    warnings.add("no index on " + columns + ":\nCREATE INDEX ON " + key.child_quoted +
                 (key.columns.size() == 1 ? " (" + columns + ");" : " " + columns + ";"));
  }

  void warn_of_triggers(const char* event, const std::vector<std::string>& triggers,
                        Warnings& warnings) {
    for (const std::string& trigger : triggers)
      warnings.add(std::string("trigger ") + pg::quoted(trigger) + " runs on " + event);
  }

  pg::RowSet& result_;
  const DeletionSchema& schema_;
  const DoomedRows& doomed_;
  std::map<int, bool> warned_;
  int number_ = 0;
};

}  // namespace

// plan_user_deletion(user_id) → setof (step, action, table_name, rows, path, warning)
PURSER_FUNCTION(purser_plan_user_deletion) {
  const pg::Arguments arguments(fcinfo);
  const std::string user_id(arguments.id(0, "user_id"));
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const UserSource source = load_user_source();
  const DeletionSchema schema = load_deletion_schema(source, load_deletion_rules());
  require_privileges(schema, true);
  const User user = find_user(source, user_id, false);
  // Of the temporary tables, not even the locks are to last until the end of the transaction.
  pg::Rehearsal rehearsal;
  DoomedRows doomed(schema, false);
  doomed.collect(source, user_id);
  Plan(result, schema, doomed).write(user, source);
  return 0;
}

// prepare_user_deletion(user_id, actor) → jsonb
PURSER_FUNCTION(purser_prepare_user_deletion) {
  const pg::Arguments arguments(fcinfo);
  const std::string user_id(arguments.id(0, "user_id"));
  const std::string actor(arguments.id(1, "actor"));
  pg::Spi spi;
  const User user = find_user(load_user_source(), user_id, false);
  const AccountState before = account_state(user.id, true);
  for (const Blocker& blocker : account_blockers(user.id, before))
    if (!blocker.may_be_overridden) throw blocker.error;
  const bool canceled = suspend_account(user.id, before, actor);
  const std::string plan = before.plan ? pg::json_string(*before.plan) : "null";
  const std::string status = before.status == "active" ? "suspended" : before.status;
  const std::string report =
      "{\"user_id\": " + pg::json_string(user.id) + ", \"status\": " + pg::json_string(status) +
      ", \"status_before\": " + pg::json_string(before.status) + ", \"plan_before\": " + plan +
      ", \"subscription_canceled\": " + (canceled ? "true" : "false") + "}";
  audit(actor, "user.deletion_prepared", user.id, report);
  return pg::jsonb(report).datum;
}

}  // namespace purser
