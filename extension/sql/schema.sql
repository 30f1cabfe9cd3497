-- Types and tables. Account-owned tables lead every key with account_id COLLATE "C", have no
-- trigger, no sequence and no foreign key on the hot path, so that they can be distributed by
-- account. entitlement, wallet and ledger have no CHECK either: PostgreSQL parses each anew in every
-- statement, and their rows are written by the rules in core alone; verify_ledger() finds what is not.
-- Rows are locked in one order everywhere:
--   account, then entitlement by (account_id, feature), then its stripes and holds, then wallet by
--   (account_id, wallet), then its holds and top-up, then ledger.

-- Results ---------------------------------------------------------------------------------------

CREATE TYPE purser.decision AS (
  allowed boolean,
  reason text,
  account_id text,
  feature text,
  used bigint,
  quota bigint,
  remaining bigint,
  resets_at timestamptz,
  level text,
  percent integer,
  held bigint,
  max_amount bigint,
  hold_id text
);
COMMENT ON TYPE purser.decision IS
  'Answer to a quota question. reason: ok; over_quota (allowed or recorded although the quota is used up: soft cap, grace); quota_exceeded, per_call_exceeded, feature_not_included, account_suspended, account_banned, account_deleted. used: units counted in the running period; held: set aside by open holds; quota and remaining (never negative) are NULL when unlimited, and include what was rolled over. max_amount: the most one call could take now, NULL when there is no bound. percent: of the quota used, rounded down. resets_at is NULL when the quota never resets. level: ok, warn, critical, exhausted, unlimited. hold_id: of the hold the call made or ended.';

CREATE TYPE purser.ledger_entry AS (
  entry_id text,
  account_id text,
  wallet text,
  direction text,
  reason text,
  amount numeric,
  balance_after numeric,
  allocations jsonb,
  resource_type text,
  resource_id text,
  breakdown jsonb,
  correlation_id text,
  created_at timestamptz,
  replayed boolean
);
COMMENT ON TYPE purser.ledger_entry IS
  'One ledger entry as the credit functions return it. direction: DEBIT or CREDIT. allocations: [{"grant_id","kind","amount"}], what each grant bore or received. replayed: true when the same request had been made before and nothing was changed.';

CREATE TYPE purser.subscription_state AS (
  account_id text,
  subscription_no integer,
  plan text,
  version integer,
  status text,
  pinned_version integer,
  pinned_until timestamptz,
  billing_interval text,
  period_start timestamptz,
  period_end timestamptz,
  started_at timestamptz,
  trial_ends_at timestamptz,
  fallback_plan text,
  grace_ends_at timestamptz,
  cancel_at timestamptz,
  next_plan text,
  next_pinned_version integer,
  next_interval text,
  next_plan_at timestamptz
);
COMMENT ON TYPE purser.subscription_state IS
  'What an account is subscribed to at this instant. version: the version of the plan in force. status: trialing, active, past_due, or NULL on the default plan without a subscription. period_start, period_end: the running billing period, or the trial. trial_ends_at and fallback_plan are of a running trial, grace_ends_at of one past due; cancel_at, next_plan, next_plan_at and pinned_until say what will happen by itself.';

CREATE TYPE purser.feature_entitlement AS (
  feature text,
  kind text,
  category text,
  value jsonb,
  source text,
  plan text,
  version integer,
  expires_at timestamptz,
  reason text
);
COMMENT ON TYPE purser.feature_entitlement IS
  'What an account gets for one feature and where that comes from. value as feature_value() gives it. source: override (with its expires_at and reason), plan, or default (the plan does not mention the feature). plan and version: the plan in force.';

CREATE TYPE purser.violation AS (
  path text,
  rule text,
  message text
);
COMMENT ON TYPE purser.violation IS
  'One thing that is wrong: where, which rule (a stable word), and what a person should read.';

-- Catalog: reference data, small, cached by every session -----------------------------------------

CREATE TABLE purser.setting (
  name text COLLATE "C" PRIMARY KEY,
  value text NOT NULL
);
COMMENT ON TABLE purser.setting IS 'Settings of the whole installation; change them with purser.set_setting().';

CREATE TABLE purser.feature (
  code text COLLATE "C" PRIMARY KEY,
  definition jsonb NOT NULL
);
COMMENT ON TABLE purser.feature IS 'Features as declared with purser.declare_features(): kind, unit, category, default, bounds.';

CREATE TABLE purser.plan (
  plan text COLLATE "C" PRIMARY KEY,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE purser.plan IS 'Plans that exist; what they give is in purser.plan_version.';

CREATE TABLE purser.plan_version (
  plan text COLLATE "C" NOT NULL REFERENCES purser.plan,
  version integer NOT NULL CHECK (version > 0),
  definition jsonb NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL,
  published_at timestamptz NOT NULL,
  PRIMARY KEY (plan, version)
);
COMMENT ON TABLE purser.plan_version IS 'Every published version of every plan; immutable. The highest version is the one in force.';

CREATE TABLE purser.rate_card (
  rate_card text COLLATE "C" PRIMARY KEY,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE purser.rate_card IS 'Rate cards that exist; what they say is in purser.rate_card_version.';

CREATE TABLE purser.rate_card_version (
  rate_card text COLLATE "C" NOT NULL REFERENCES purser.rate_card,
  version integer NOT NULL CHECK (version > 0),
  definition jsonb NOT NULL,
  effective_from timestamptz NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL,
  published_at timestamptz NOT NULL,
  PRIMARY KEY (rate_card, version)
);
COMMENT ON TABLE purser.rate_card_version IS 'Every published version of every rate card; immutable. In force is, of those effective by now, the one that became so last.';

-- Accounts ----------------------------------------------------------------------------------------

CREATE TABLE purser.account (
  account_id text COLLATE "C" PRIMARY KEY CHECK (account_id <> '' AND octet_length(account_id) <= 255),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'banned', 'deleted')),
  role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin', 'superadmin')),
  time_zone text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE purser.account IS 'Customers a limit or a wallet belongs to. A row appears with the account''s first use; an account without a live subscription is on the default plan.';

-- Beside what it is, a live row says what time will do to it (core/subscription.hpp has the rule), so it
-- may show a state that is over: purser.subscription() and every decision know better.
-- subscription.cpp and accounts name the columns one by one; _subscription_rows() gives them in this order.
CREATE TABLE purser.subscription (
  account_id text COLLATE "C" NOT NULL REFERENCES purser.account,
  subscription_no integer NOT NULL,
  plan text COLLATE "C" NOT NULL,
  pinned_version integer,
  pinned_until timestamptz,
  status text NOT NULL CHECK (status IN ('trialing', 'active', 'past_due', 'canceled', 'expired')),
  billing_interval text NOT NULL DEFAULT 'month' CHECK (billing_interval IN ('month', 'year')),
  anchor timestamp NOT NULL,
  started_at timestamptz NOT NULL,
  trial_ends_at timestamptz,
  fallback_plan text COLLATE "C",
  grace_ends_at timestamptz,
  cancel_at timestamptz,
  next_plan text COLLATE "C",
  next_pinned_version integer,
  next_interval text CHECK (next_interval IN ('month', 'year')),
  next_plan_at timestamptz,
  next_actor text,
  ended_at timestamptz,
  end_reason text CHECK (end_reason IN ('canceled', 'trial_ended', 'grace_ended', 'plan_changed')),
  actor text NOT NULL,
  turns_at timestamptz GENERATED ALWAYS AS (CASE WHEN ended_at IS NULL THEN LEAST(
    cancel_at, next_plan_at, pinned_until,
    CASE status WHEN 'trialing' THEN trial_ends_at WHEN 'past_due' THEN grace_ends_at END) END) STORED,
  PRIMARY KEY (account_id, subscription_no),
  CHECK ((ended_at IS NULL) = (status IN ('trialing', 'active', 'past_due'))),
  CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
  CHECK (status <> 'trialing' OR trial_ends_at IS NOT NULL),
  CHECK (status <> 'past_due' OR grace_ends_at IS NOT NULL),
  CHECK (pinned_until IS NULL OR pinned_version IS NOT NULL),
  CHECK (num_nulls(next_plan, next_interval, next_plan_at, next_actor) IN (0, 4))
);
CREATE UNIQUE INDEX subscription_one_live ON purser.subscription (account_id) WHERE ended_at IS NULL;
CREATE INDEX subscription_turns ON purser.subscription (turns_at) WHERE ended_at IS NULL;
COMMENT ON TABLE purser.subscription IS 'Subscriptions, live and past; at most one live per account. pinned_version is NULL when it follows the latest version of its plan, which it does from pinned_until on. anchor is a start on the account''s wall clock, from which billing periods are counted. trial_ends_at, cancel_at and next_plan_at are what was arranged, grace_ends_at the end of patience with one past due; turns_at is the first of them still to come. A row whose turns_at has passed is brought up to date by the next change or by purser.settle_subscriptions(); purser.subscription() is right at any time.';

CREATE TABLE purser.feature_override (
  account_id text COLLATE "C" NOT NULL REFERENCES purser.account,
  feature text COLLATE "C" NOT NULL,
  value jsonb NOT NULL,
  expires_at timestamptz,
  reason text NOT NULL,
  actor text NOT NULL,
  set_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, feature)
);
COMMENT ON TABLE purser.feature_override IS 'What one account gets for a feature instead of what its plan gives, until expires_at (NULL: until it is cleared). An expired override counts for nothing.';

-- Everything a decision needs in one row, so that counting is one statement on one row. The columns
-- status, plan, pinned_version, anchor, time_zone and override are the account's terms as of the last
-- time they were looked up; they and the period hold until fresh_until, after which the next call looks
-- again. Whoever changes the terms sets it to -infinity in the same transaction (_terms_changed).
-- used changes with every call: no index may cover it, and the free space keeps the new row version on
-- the same page. entitlement.cpp knows the columns by their order.
CREATE TABLE purser.entitlement (
  account_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  used bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  carried bigint NOT NULL DEFAULT 0,
  lifetime bigint NOT NULL DEFAULT 0,
  period_start timestamptz NOT NULL DEFAULT '-infinity',
  period_end timestamptz NOT NULL DEFAULT '-infinity',
  fresh_until timestamptz NOT NULL DEFAULT '-infinity',
  pinned_version integer,
  stripes integer NOT NULL DEFAULT 0,
  anchor timestamp,
  status text COLLATE "C" NOT NULL DEFAULT 'active',
  plan text COLLATE "C",
  per text COLLATE "C" NOT NULL DEFAULT '',
  time_zone text COLLATE "C" NOT NULL DEFAULT 'UTC',
  override text,
  PRIMARY KEY (account_id, feature)
) WITH (fillfactor = 50);
COMMENT ON TABLE purser.entitlement IS 'One account''s running count of one metered feature, with the terms it is decided by, which hold until fresh_until. carried: unused quota of earlier periods. held: sum of the open holds. plan is NULL on the default plan. per names the kind of period the bounds were computed for. stripes: rows of purser.entitlement_stripe that count beside this one; their used adds to used and lifetime here.';

-- stripes.cpp knows the columns by their order.
CREATE TABLE purser.entitlement_stripe (
  account_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  stripe integer NOT NULL,
  used bigint NOT NULL DEFAULT 0,
  available bigint NOT NULL DEFAULT 0,
  fresh_until timestamptz NOT NULL DEFAULT '-infinity',
  allotted_under text COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (account_id, feature, stripe)
) WITH (fillfactor = 20);
COMMENT ON TABLE purser.entitlement_stripe IS 'What a hot counter was used by beside its row in purser.entitlement, in rows that are locked apart. Each may give out what is available in it until fresh_until, to who decides by the rule it was allotted under; the rest goes through the row in purser.entitlement.';

CREATE TABLE purser.usage_period (
  account_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL,
  used bigint NOT NULL,
  -- A day and the month it was extended to by a change of plan begin alike; no two end alike.
  PRIMARY KEY (account_id, feature, period_end)
);
COMMENT ON TABLE purser.usage_period IS 'Usage of periods that are over; the running period is in purser.entitlement.';

CREATE TABLE purser.quota_hold (
  account_id text COLLATE "C" NOT NULL,
  hold_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'committed', 'released', 'expired')),
  committed bigint,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (account_id, hold_id),
  CHECK ((ended_at IS NULL) = (state = 'open')),
  CHECK ((committed IS NULL) = (state <> 'committed'))
);
CREATE INDEX quota_hold_open ON purser.quota_hold (account_id, feature, expires_at) WHERE state = 'open';
COMMENT ON TABLE purser.quota_hold IS 'Quota set aside for work in flight. A hold ends once: committed (with what was really used), released, or expired. An open hold whose expires_at has passed counts for nothing, whether or not its row says expired yet.';

CREATE TABLE purser.quota_key (
  account_id text COLLATE "C" NOT NULL,
  idempotency_key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  answers jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, idempotency_key)
);
COMMENT ON TABLE purser.quota_key IS 'Idempotency keys of increments that counted, with the answers a retry gets (rows of purser.decision). They do not expire. A refusal counts nothing and leaves no key.';

-- Credits -----------------------------------------------------------------------------------------

-- The aggregate of one wallet: what is left of every live grant (a lot) is inside the row, so that a
-- charge is one row read, one row written and one ledger row. Element i of every lot_ array belongs
-- to lot i, in debit order. A wallet of many grants keeps the first ones there and the rest in lot_tail,
-- which is stored aside and not touched until the first are spent; purser._lots shows all of them as
-- rows. What a charge changes comes last and together: an
-- update logs what lies between the first and the last byte that differ. wallet.cpp knows the columns by
-- their order.
CREATE TABLE purser.wallet (
  account_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  subscription_until timestamptz NOT NULL DEFAULT 'infinity',
  last_subscribed_grant bigint NOT NULL DEFAULT 9223372036854775807,
  holds_until timestamptz NOT NULL DEFAULT 'infinity',
  allowance_due timestamptz NOT NULL DEFAULT 'infinity',
  tail_until timestamptz NOT NULL DEFAULT 'infinity',
  alert_micros bigint,
  top_up_micros bigint,
  allowance jsonb,
  last_grant_id bigint NOT NULL DEFAULT 0,
  lot_tail jsonb,
  lot_grant_ids bigint[] NOT NULL DEFAULT '{}',
  lot_kinds text[] NOT NULL DEFAULT '{}',
  lot_priorities integer[] NOT NULL DEFAULT '{}',
  lot_expires_at timestamptz[] NOT NULL DEFAULT '{}',
  lot_held_micros bigint[] NOT NULL DEFAULT '{}',
  lot_remaining_micros bigint[] NOT NULL DEFAULT '{}',
  balance_micros bigint NOT NULL DEFAULT 0,
  last_entry_no bigint NOT NULL DEFAULT 0,
  head_hash bytea NOT NULL,
  PRIMARY KEY (account_id, wallet)
) WITH (fillfactor = 50);
ALTER TABLE purser.wallet ALTER COLUMN lot_tail SET STORAGE EXTERNAL;
COMMENT ON TABLE purser.wallet IS 'One account''s wallet: live lots in debit order, the balance and the head of the ledger chain. Amounts are in millionths (micros). balance_micros is the sum of all ledger entries in millionths, holds and not yet written-off expiries included. subscription_until: from then on the account has no live subscription, infinity when none ends; whoever changes the subscription keeps it (_tell_wallets). last_subscribed_grant: grants after it came when that subscription was over. holds_until: when the next open hold expires. allowance: what the plan gives for the running period, with its bounds; allowance_due: when that has to be looked at again. tail_until: when the first grant in lot_tail ends. alert_micros: below this balance the account is told, NULL for the setting low_balance, 0 for never; top_up_micros: below this a top-up is requested, NULL for never.';

CREATE INDEX wallet_allowance_due ON purser.wallet (allowance_due) WHERE allowance_due < 'infinity';

CREATE VIEW purser._lots AS
SELECT w.account_id, w.wallet, l.*
  FROM purser.wallet AS w,
       LATERAL (
         SELECT *
           FROM unnest(w.lot_grant_ids, w.lot_kinds, w.lot_priorities, w.lot_expires_at,
                       w.lot_remaining_micros, w.lot_held_micros) WITH ORDINALITY
         UNION ALL
         SELECT t.grant_id, t.kind, t.priority, t.expires_at, t.remaining_micros, t.held_micros,
                cardinality(w.lot_grant_ids) + t.place
           FROM unnest(
                  ARRAY(SELECT jsonb_array_elements_text(w.lot_tail -> 'grant_ids')::bigint),
                  ARRAY(SELECT jsonb_array_elements_text(w.lot_tail -> 'kinds')),
                  ARRAY(SELECT jsonb_array_elements_text(w.lot_tail -> 'priorities')::integer),
                  ARRAY(SELECT jsonb_array_elements_text(w.lot_tail -> 'expires_at')::timestamptz),
                  ARRAY(SELECT jsonb_array_elements_text(w.lot_tail -> 'remaining_micros')::bigint),
                  ARRAY(SELECT jsonb_array_elements_text(w.lot_tail -> 'held_micros')::bigint))
                WITH ORDINALITY AS t (grant_id, kind, priority, expires_at, remaining_micros, held_micros, place)
       ) AS l (grant_id, kind, priority, expires_at, remaining_micros, held_micros, place);
COMMENT ON VIEW purser._lots IS
  'Internal. What is left of every live grant of every wallet, in millionths, in debit order.';

CREATE TABLE purser.credit_grant (
  account_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  grant_id bigint NOT NULL,
  kind text NOT NULL,
  priority integer NOT NULL,
  amount numeric NOT NULL CHECK (amount > 0),
  expires_at timestamptz NOT NULL,
  entry_no bigint NOT NULL,
  granted_at timestamptz NOT NULL,
  grace_days integer NOT NULL DEFAULT 0,
  PRIMARY KEY (account_id, wallet, grant_id)
);
CREATE INDEX credit_grant_expires_at ON purser.credit_grant (expires_at) WHERE expires_at < 'infinity';
COMMENT ON TABLE purser.credit_grant IS 'Every grant as it was made; immutable. expires_at is infinity when it never expires, and includes grace_days.';

CREATE TABLE purser.credit_hold (
  account_id text COLLATE "C" NOT NULL,
  hold_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  amount numeric NOT NULL,
  added numeric NOT NULL DEFAULT 0 CHECK (added BETWEEN 0 AND amount),
  captured numeric NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
  state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
  allocations jsonb NOT NULL,
  parts jsonb NOT NULL,
  reason text NOT NULL,
  resource_type text COLLATE "C",
  resource_id text COLLATE "C",
  resource_title text,
  notes text,
  fingerprint bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  estimate jsonb,
  PRIMARY KEY (account_id, hold_id),
  CHECK (amount > 0 OR (estimate IS NOT NULL AND amount = 0)),
  CHECK ((ended_at IS NULL) = (state = 'open')),
  CHECK ((state = 'open') OR parts = '[]')
);
CREATE INDEX credit_hold_expires_at ON purser.credit_hold (expires_at) WHERE state = 'open';
CREATE INDEX credit_hold_open ON purser.credit_hold (account_id, wallet, expires_at) WHERE state = 'open';
COMMENT ON TABLE purser.credit_hold IS 'Credits set aside for work in flight. allocations: what each grant bore when the hold was made; parts: what is still held of each. A hold ends once: captured (used up, or its last capture gave the rest back), released, or expired. An open hold whose expires_at has passed holds nothing any more, whether or not its row says expired yet. estimate: breakdown of the price of a hold for an operation, whose amount may be 0; added: the part of amount that its capture took from the wallet beyond what had been held.';

-- ledger.cpp knows the columns by their order.
CREATE TABLE purser.ledger (
  account_id text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  entry_no bigint NOT NULL,
  direction text COLLATE "C" NOT NULL,
  reason text NOT NULL,
  amount numeric NOT NULL,
  balance_after numeric NOT NULL,
  allocations jsonb NOT NULL,
  resource_type text COLLATE "C",
  resource_id text COLLATE "C",
  resource_title text,
  breakdown jsonb,
  notes text,
  correlation_id text COLLATE "C",
  refund_of bigint,
  created_at timestamptz NOT NULL,
  effective_at timestamptz NOT NULL,
  fingerprint bytea,
  hash bytea NOT NULL,
  hold_id text COLLATE "C",
  PRIMARY KEY (account_id, wallet, entry_no)
);
CREATE UNIQUE INDEX ledger_correlation ON purser.ledger (account_id, correlation_id);
CREATE INDEX ledger_resource ON purser.ledger (account_id, resource_type, resource_id)
  WHERE resource_type IS NOT NULL;
CREATE INDEX ledger_refund_of ON purser.ledger (account_id, wallet, refund_of)
  WHERE refund_of IS NOT NULL;
CREATE INDEX ledger_hold ON purser.ledger (account_id, hold_id) WHERE hold_id IS NOT NULL;
COMMENT ON TABLE purser.ledger IS 'Immutable debits and credits, numbered 1, 2, 3 … within each wallet and chained by hash; see purser.verify_ledger(). effective_at is when the balance changed: the instant of expiry for a lapsed grant, else created_at.';

CREATE TABLE purser.operation_usage (
  account_id text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL,
  used numeric NOT NULL,
  PRIMARY KEY (account_id, operation)
);
COMMENT ON TABLE purser.operation_usage IS 'How many units of an operation an account has been charged for, free ones included, in the period that free units and volume tiers count by; the calendar month where the rate card names none. A row of a period that is over counts as 0.';

CREATE TABLE purser.free_operation (
  account_id text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  balance_after numeric NOT NULL,
  resource_type text COLLATE "C",
  resource_id text COLLATE "C",
  resource_title text,
  breakdown jsonb NOT NULL,
  notes text,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, correlation_id)
);
COMMENT ON TABLE purser.free_operation IS 'Operations that cost nothing, with the answer a retry gets. They move no credits, so the ledger does not have them.';

-- Audit and work ----------------------------------------------------------------------------------

CREATE TABLE purser.audit_event (
  event_id text COLLATE "C" PRIMARY KEY,
  at timestamptz NOT NULL,
  account_id text COLLATE "C",
  actor text NOT NULL,
  impersonator text,
  database_role text NOT NULL,
  action text COLLATE "C" NOT NULL,
  resource_type text,
  resource_id text,
  details jsonb NOT NULL DEFAULT '{}',
  address inet
);
CREATE INDEX audit_event_at ON purser.audit_event (at);
CREATE INDEX audit_event_account ON purser.audit_event (account_id, at);
COMMENT ON TABLE purser.audit_event IS 'Who did what to what, when and from where. Append-only: no role but the owner may write, and only through the functions.';

CREATE TABLE purser.event (
  event_id text COLLATE "C" PRIMARY KEY,
  at timestamptz NOT NULL,
  kind text COLLATE "C" NOT NULL,
  account_id text COLLATE "C",
  payload jsonb NOT NULL
);
CREATE INDEX event_at ON purser.event (at);
CREATE INDEX event_account ON purser.event (account_id, at);
COMMENT ON TABLE purser.event IS 'What happened that someone may want to be told: written in the transaction in which it happened, so an event of a rolled-back transaction does not exist.';

CREATE TABLE purser.job (
  job_id text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  account_id text COLLATE "C",
  payload jsonb NOT NULL,
  status text COLLATE "C" NOT NULL DEFAULT 'queued',
  due_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE purser.job IS 'Work for the outside, queued in the transaction that made it necessary: it happens if and only if that transaction commits.';
