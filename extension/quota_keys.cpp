// Reads and claims idempotency keys.
#include "extension/quota_keys.hpp"

#include "core/error.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

namespace {

// Another kind of call may have kept answers of another form under the key.
pg::Statement select_key{
    "SELECT k.fingerprint, a.feature, a.allowed, a.reason, a.used, a.quota, a.remaining,"
    "       a.resets_at, a.level, a.percent, a.held, a.max_amount, a.hold_id"
    "  FROM purser.quota_key AS k,"
    "       LATERAL ROWS FROM ("
    "         pg_catalog.jsonb_populate_recordset(NULL::purser.decision,"
    "           CASE WHEN k.fingerprint OPERATOR(pg_catalog.=) $3 THEN k.answers ELSE '[{}]' END)"
    "       ) WITH ORDINALITY AS a"
    " WHERE k.account_id OPERATOR(pg_catalog.=) $1 AND k.idempotency_key OPERATOR(pg_catalog.=) $2"
    " ORDER BY a.ordinality",
    {TEXTOID, TEXTOID, BYTEAOID}};

pg::Statement claim_key{
    "INSERT INTO purser.quota_key (account_id, idempotency_key, fingerprint, answers, created_at)"
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    {TEXTOID, TEXTOID, BYTEAOID, JSONBOID, TIMESTAMPTZOID}};

[[noreturn]] void reused(const IdempotencyKey& key, const char* why) {
  throw Error(sqlstate::idempotency_key_reused,
              "idempotency key \"" + *key.key + "\" was used for another request", why,
              "Use a new key for a new request.");
}

Answer stored_answer(const pg::Row& row) {
  Answer answer;
  answer.allowed = row.boolean(2);
  answer.reason = row.string(3);
  answer.used = row.int8(4);
  answer.quota = row.optional_int8(5);
  answer.remaining = row.optional_int8(6);
  if (!row.is_null(7)) answer.resets_at = row.timestamptz(7);
  answer.level = row.string(8);
  answer.percent = row.optional_int4(9);
  answer.held = row.int8(10);
  answer.max_amount = row.optional_int8(11);
  answer.hold_id = row.optional_text(12);
  return answer;
}

std::string json(const Answers& answers) {
  std::string list;
  for (const FeatureAnswer& answer : answers)
    list += (list.empty() ? "" : ",") + decision_json(answer);
  return "[" + list + "]";
}

}  // namespace

std::optional<Answers> remembered(const IdempotencyKey& key) {
  if (!key.key) return std::nullopt;
  const pg::Rows rows =
      select_key.run({pg::text(key.account_id), pg::text(*key.key), pg::bytea(key.fingerprint)});
  if (rows.empty()) return std::nullopt;
  if (rows[0].digest(0) != key.fingerprint)
    reused(key, "The first request under this key asked for something else.");
  Answers answers;
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    answers.push_back({rows[i].string(1), stored_answer(rows[i])});
  return answers;
}

void remember(const IdempotencyKey& key, const Answers& answers, Instant now) {
  if (!key.key) return;
  const pg::Rows claimed =
      claim_key.run({pg::text(key.account_id), pg::text(*key.key), pg::bytea(key.fingerprint),
                     pg::jsonb(json(answers)), pg::timestamptz(now)});
  // Equal requests wait for one another on the entitlement row, so this one is another.
  if (claimed.processed() == 0)
    reused(key, "Another request with this key was made at the same time.");
}

}  // namespace purser
