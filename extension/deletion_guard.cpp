// Everything a deletion reads and writes in purser's own tables, as the extension's owner.
// Locks: the account and its entitlements, then its wallets.
#include "extension/deletion_guard.hpp"
#include "extension/account.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/row.hpp"

namespace purser {

namespace {

pg::Statement lock_account{"SELECT FROM purser._lock_account($1)", {TEXTOID}};

// Run with a snapshot of its own, after the lock.
pg::Statement select_role{
    "SELECT a.role FROM purser.account AS a WHERE a.account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

pg::Statement set_status{"SELECT purser.set_account_status($1, $2, $3, $4)",
                         {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
pg::Statement cancel{"SELECT purser.cancel_subscription($1, $2)", {TEXTOID, TEXTOID}};
pg::Statement append_audit{"SELECT purser._audit($1, $2, $3, 'account', $3, $4)",
                           {TEXTOID, TEXTOID, TEXTOID, JSONBOID}};

pg::Statement insert_job{
    "INSERT INTO purser.job (job_id, kind, account_id, payload, due_at, created_at)"
    " VALUES (pg_catalog.gen_random_uuid()::pg_catalog.text, 'storage_cleanup', $1,"
    "         pg_catalog.jsonb_build_object('prefix', $2), $3, $3)"
    " RETURNING job_id",
    {TEXTOID, TEXTOID, TIMESTAMPTZOID}};

std::string named(std::string_view account_id) {
  return "user \"" + std::string(account_id) + "\"";
}

}  // namespace

AccountState account_state(std::string_view account_id, bool lock) {
  pg::AsOwner owner;
  if (lock) lock_account.run({pg::text(account_id)});
  const pg::Rows rows = select_role.run({pg::text(account_id)});
  AccountState state;
  if (rows.empty()) return state;
  state.role = rows[0].string(0);
  pg::Command command;  // sees what the lock waited for
  const Account account = load_account(account_id, pg::now());
  state.status = to_string(account.status);
  state.plan = account.plan;
  if (state.plan) state.paid = !catalog()->version(state.plan, account.pinned_version).is_free();
  return state;
}

std::vector<Blocker> account_blockers(std::string_view account_id, const AccountState& account) {
  std::vector<Blocker> blockers;
  if (account.role != "user")
    blockers.push_back({Error(sqlstate::not_permitted,
                              named(account_id) + " is " +
                                  (account.role == "admin" ? "an admin" : "a superadmin") +
                                  " and cannot be deleted",
                              "Accounts with powers over others are not deleted.",
                              account.role == "admin" ? "Take the role away first." : ""),
                        false});
  if (account.status == "active")
    blockers.push_back({Error(sqlstate::deletion_refused, named(account_id) + " is still active",
                              "Only the user of an account that can no longer act is deleted.",
                              "Call purser.prepare_user_deletion() first."),
                        true});
  if (account.paid)
    blockers.push_back(
        {Error(sqlstate::deletion_refused,
               named(account_id) + " has a paid subscription to plan \"" + *account.plan + "\"",
               "Deleting the user would not end what they are charged elsewhere.",
               "Cancel it with purser.cancel_subscription(), or call "
               "purser.prepare_user_deletion()."),
         true});
  return blockers;
}

void require_email(const User& user, const std::string& confirm_email) {
  if (!user.email)
    throw Error(sqlstate::deletion_refused, named(user.id) + " has no e-mail to confirm",
                "The deletion is confirmed by typing the user's e-mail address.",
                "Give the user's row an address first.");
  if (*user.email != confirm_email)
    throw Error(sqlstate::deletion_refused,
                "e-mail \"" + confirm_email + "\" is not that of " + named(user.id),
                "It must be typed exactly as it is stored, capitals included.",
                "Check that this is the user you mean to delete.");
}

void require_superadmin(std::string_view actor) {
  if (account_state(actor, false).role == "superadmin") return;
  throw Error(sqlstate::not_permitted,
              "actor \"" + std::string(actor) + "\" may not override the guard rails",
              "Only a superadmin may give an override reason.",
              "Leave override_reason out, or have a superadmin do it.");
}

void audit(std::string_view actor, std::string_view action, std::string_view account_id,
           const std::string& details) {
  pg::AsOwner owner;
  append_audit.run({pg::text(actor), pg::text(action), pg::text(account_id), pg::jsonb(details)});
}

bool suspend_account(std::string_view account_id, const AccountState& account,
                     std::string_view actor) {
  pg::AsOwner owner;
  if (account.status == "active")
    set_status.run(
        {pg::text(account_id), pg::text("suspended"), pg::text(actor), pg::text("to be deleted")});
  return cancel.run({pg::text(account_id), pg::text(actor)})[0].boolean(0);
}

void close_account(std::string_view account_id, std::string_view actor) {
  pg::AsOwner owner;
  cancel.run({pg::text(account_id), pg::text(actor)});
  set_status.run(
      {pg::text(account_id), pg::text("deleted"), pg::text(actor), pg::text("user deleted")});
}

std::string queue_storage_cleanup(std::string_view account_id, const std::string& prefix) {
  pg::AsOwner owner;
  return insert_job.run({pg::text(account_id), pg::text(prefix), pg::timestamptz(pg::now())})[0]
      .string(0);
}

}  // namespace purser
