// delete_user: guard rails, collection under lock, deletion from children to parents, verification.
//
// Locks: the user's row FOR UPDATE, the account with all that belongs to it, then every doomed row
// from parents to children (deletion_rows.cpp). Statements on the application's tables run with the
// caller's rights.
#include <map>

#include "core/error.hpp"
#include "extension/deletion_guard.hpp"
#include "extension/deletion_order.hpp"
#include "extension/deletion_rows.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/name.hpp"

namespace purser {

namespace {

constexpr std::size_t longest_reason = 4096;
constexpr char serialization_failure[] = "40001";  // what callers repeat a transaction on

struct Request {
  std::string user_id, confirm_email, actor;
  std::optional<std::string> override_reason;
};

// Rows by table name.
using Counts = std::map<std::string, std::uint64_t>;

struct Outcome {
  Counts rows, set_null;

  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const auto& [table, count] : rows) sum += count;
    return sum;
  }
};

std::string json(const Counts& counts) {
  std::string text = "{";
  for (const auto& [table, count] : counts)
    text += (text.size() == 1 ? "" : ", ") + pg::json_string(table) + ": " + std::to_string(count);
  return text + "}";
}

std::string json(const std::optional<std::string>& text) {
  return text ? pg::json_string(*text) : "null";
}

Request read_request(FunctionCallInfo fcinfo) {
  const pg::Arguments arguments(fcinfo);
  Request request;
  request.user_id = arguments.id(0, "user_id");
  request.confirm_email = arguments.id(1, "confirm_email");
  request.actor = arguments.id(2, "actor");
  request.override_reason = arguments.optional_text(3, "override_reason", longest_reason);
  if (request.override_reason && request.override_reason->empty()) request.override_reason.reset();
  return request;
}

// Evaluated under the locks, so that what they say stays true until the end.
void require_permission(const Request& request, const User& user) {
  if (request.override_reason) require_superadmin(request.actor);
  for (const Blocker& blocker : account_blockers(user.id, account_state(user.id, true)))
    if (!blocker.may_be_overridden || !request.override_reason) throw blocker.error;
  require_email(user, request.confirm_email);
}

void require_no_row_blockers(const DeletionSchema& schema, const DoomedRows& doomed) {
  const std::vector<Error> blockers = row_blockers(schema, doomed);
  if (!blockers.empty()) throw blockers.front();
}

void require_all_removed(const DeletionTable& table, std::uint64_t doomed, std::uint64_t removed) {
  if (doomed == removed) return;
  std::string triggers;
  for (const std::string& trigger : table.delete_triggers)
    triggers += (triggers.empty() ? "" : ", ") + pg::quoted(trigger);
  throw Error(sqlstate::deletion_refused,
              "only " + std::to_string(removed) + " of " + std::to_string(doomed) + " rows of " +
                  table.quoted + " could be deleted",
              triggers.empty()
                  ? "Something kept the others or changed what identifies them."
                  : "A trigger kept the others or changed what identifies them: " + triggers + ".",
              "Nothing was deleted. Let the trigger pass rows of a user that is being deleted.");
}

// A foreign key that refuses here means that rows appeared after they were looked for. Everybody
// else waits for our locks, so it was a trigger of this very deletion; or they were there before,
// but came after the snapshot that a REPEATABLE READ transaction keeps.
Error rows_appeared(const pg::PgError& refusal) {
  const ErrorData* e = refusal.error;
  const std::string detail = e->detail != nullptr ? e->detail : "";
  if (IsolationUsesXactSnapshot())
    return Error(serialization_failure,
                 std::string("rows of the user came after this transaction began: ") + e->message,
                 detail, "Nothing was deleted. Repeat the transaction.");
  return Error(sqlstate::deletion_refused,
               std::string("rows appeared while the user was being deleted: ") + e->message, detail,
               "Nothing was deleted. A trigger inserted rows that refer to what is being deleted; "
               "let it not do so for a user that is being deleted.");
}

void remove_component(const DeletionSchema& schema, const DoomedRows& doomed,
                      const std::vector<int>& tables, Outcome& outcome) {
  for (int k : keys_to(schema, tables, Treatment::detach))
    if (const std::uint64_t rows = doomed.detach(k); rows > 0)
      outcome.set_null[schema.key(k).child_quoted] += rows;
  const std::vector<std::uint64_t> removed = doomed.remove(tables);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const DeletionTable& table = schema.table(tables[i]);
    if (doomed.is_collected(tables[i]))
      require_all_removed(table, doomed.own(tables[i]), removed[i]);
    if (removed[i] > 0) outcome.rows[table.quoted] = removed[i];
  }
}

// No row refers to a deleted row by any key, whatever triggers and half-checked constraints did.
void verify(const DeletionSchema& schema, const DoomedRows& doomed) {
  for (std::size_t k = 0; k < schema.keys.size(); ++k) {
    const DeletionKey& key = schema.keys[k];
    if (!schema.reached(key.parent) || !doomed.referred_to_by(static_cast<int>(k))) continue;
    throw Error(sqlstate::deletion_refused,
                "rows of " + key.child_quoted + " still refer by " + key.columns_text() +
                    " to rows of " + schema.table(key.parent).quoted + " that were deleted",
                "A trigger inserted or kept them. Nothing was deleted.",
                "Let the trigger pass rows of a user that is being deleted.");
  }
}

Outcome remove_rows(const DeletionSchema& schema, const DoomedRows& doomed) {
  Outcome outcome;
  try {
    for (const std::vector<int>& tables : deletion_order(schema, doomed))
      remove_component(schema, doomed, tables, outcome);
  } catch (const pg::PgError& e) {
    if (e.error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION) throw rows_appeared(e);
    throw;
  }
  verify(schema, doomed);
  return outcome;
}

Outcome delete_rows(const UserSource& source, const Request& request, User& user) {
  const DeletionSchema schema = load_deletion_schema(source, load_deletion_rules());
  require_privileges(schema, false);
  user = find_user(source, request.user_id, true);
  require_permission(request, user);
  storage_path(source, user);
  DoomedRows doomed(schema, true);
  doomed.collect(source, request.user_id);
  require_no_row_blockers(schema, doomed);
  Outcome outcome = remove_rows(schema, doomed);
  doomed.drop();
  return outcome;
}

}  // namespace

// delete_user(user_id, confirm_email, actor, override_reason) → jsonb
PURSER_FUNCTION(purser_delete_user) {
  const Request request = read_request(fcinfo);
  const TimestampTz start = GetCurrentTimestamp();
  pg::Spi spi;
  const UserSource source = load_user_source();
  User user;
  const Outcome outcome = delete_rows(source, request, user);

  const std::optional<std::string> path = storage_path(source, user);
  std::optional<std::string> job;
  if (path) job = queue_storage_cleanup(user.id, *path);
  close_account(user.id, request.actor);
  const std::string counts = "\"rows\": " + json(outcome.rows) +
                             ", \"set_null\": " + json(outcome.set_null) +
                             ", \"total_rows\": " + std::to_string(outcome.total());
  audit(request.actor, "user.deleted", user.id,
        "{" + counts + ", \"storage_job_id\": " + json(job) +
            ", \"override_reason\": " + json(request.override_reason) + "}");
  return pg::jsonb("{\"deleted_user_id\": " + pg::json_string(user.id) +
                   ", \"email\": " + json(user.email) + ", " + counts +
                   ", \"storage_path\": " + json(path) + ", \"storage_job_id\": " + json(job) +
                   ", \"storage_status\": " + (job ? "\"queued\"" : "\"none\"") +
                   ", \"duration_ms\": " + std::to_string((GetCurrentTimestamp() - start) / 1000) +
                   "}")
      .datum;
}

}  // namespace purser
