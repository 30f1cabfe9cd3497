-- Time, checked arguments and the audit trail: what every other module stands on.

CREATE FUNCTION purser.clock() RETURNS timestamptz
  LANGUAGE c VOLATILE PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'purser_clock';
COMMENT ON FUNCTION purser.clock() IS
  'The time purser decides by: the clock, or what a superuser''s test has set in purser.now.';

CREATE FUNCTION purser._checked_id(value text, name text) RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'purser_checked_id';
COMMENT ON FUNCTION purser._checked_id(text, text) IS
  'Internal. The value, when it is a usable identifier: not NULL, not empty, at most 255 bytes, printable. PU014 otherwise.';

CREATE FUNCTION purser._checked_time_zone(name text) RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'purser_checked_time_zone';
COMMENT ON FUNCTION purser._checked_time_zone(text) IS
  'Internal. The name, when the server knows a time zone of that name. PU014 otherwise.';

CREATE FUNCTION purser._audit(
  actor text,
  action text,
  account_id text,
  resource_type text,
  resource_id text,
  details jsonb
) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO purser.audit_event
         (event_id, at, account_id, actor, database_role, action, resource_type, resource_id, details, address)
  VALUES (pg_catalog.gen_random_uuid()::text, purser.clock(), account_id, actor, session_user, action,
          resource_type, resource_id, details, pg_catalog.inet_client_addr());
END;
COMMENT ON FUNCTION purser._audit(text, text, text, text, text, jsonb) IS
  'Internal. Appends one audit event to the running transaction.';

CREATE FUNCTION purser._emit(kind text, account_id text, payload jsonb) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO purser.event (event_id, at, kind, account_id, payload)
  VALUES (pg_catalog.gen_random_uuid()::text, purser.clock(), kind, account_id, payload);
END;
COMMENT ON FUNCTION purser._emit(text, text, jsonb) IS
  'Internal. Appends one event to the running transaction.';

CREATE FUNCTION purser.setting(name text) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce((SELECT s.value FROM purser.setting AS s WHERE s.name = setting.name),
                  CASE setting.name WHEN 'default_plan' THEN 'free' WHEN 'correction_days' THEN '90'
                                    WHEN 'past_due_grace_days' THEN '7'
                                    WHEN 'credits_on_cancel' THEN 'keep' WHEN 'rate_card' THEN 'default'
                                    WHEN 'low_balance' THEN '100' WHEN 'expiry_warning_days' THEN '7'
                                    WHEN 'expiry_grace_days' THEN '0' END);
END;
COMMENT ON FUNCTION purser.setting(text) IS
  'The value of a setting. Until they are set, default_plan is free, correction_days is 90, past_due_grace_days is 7, credits_on_cancel is keep, rate_card is default, low_balance is 100, expiry_warning_days is 7, expiry_grace_days is 0, and the others are NULL.';

CREATE FUNCTION purser.set_setting(name text, value text, actor text DEFAULT session_user) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF purser._checked_id(set_setting.name, 'name') NOT IN ('default_plan', 'upgrade_url', 'correction_days',
                                                            'past_due_grace_days', 'credits_on_cancel', 'rate_card', 'low_balance',
                                                            'expiry_warning_days', 'expiry_grace_days') THEN
    RAISE EXCEPTION 'unknown setting "%"', set_setting.name
      USING ERRCODE = 'PU012', HINT = 'Settings are default_plan, upgrade_url, correction_days, past_due_grace_days, credits_on_cancel, rate_card, low_balance, expiry_warning_days and expiry_grace_days.';
  END IF;
  IF set_setting.name = 'default_plan'
     AND NOT EXISTS (SELECT FROM purser.plan AS p WHERE p.plan = set_setting.value) THEN
    RAISE EXCEPTION 'plan "%" is not published', set_setting.value
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_plan() before it becomes the default.';
  END IF;
  IF set_setting.name = 'rate_card'
     AND NOT EXISTS (SELECT FROM purser.rate_card AS c WHERE c.rate_card = set_setting.value) THEN
    RAISE EXCEPTION 'rate card "%" is not published', set_setting.value
      USING ERRCODE = 'PU012', HINT = 'Publish it with purser.publish_rate_card() first.';
  END IF;
  IF set_setting.name = 'correction_days' AND set_setting.value !~ '^[0-9]{1,4}$' THEN
    RAISE EXCEPTION 'correction_days must be a number of days, not "%"', set_setting.value
      USING ERRCODE = 'PU014', HINT = 'Use 0 to 9999.';
  END IF;
  IF set_setting.name = 'past_due_grace_days' AND coalesce(set_setting.value !~ '^[0-9]{1,2}$', true) THEN
    RAISE EXCEPTION 'past_due_grace_days must be a number of days between 0 and 99'
      USING ERRCODE = 'PU014', HINT = 'Pass the days an account keeps its plan after a payment failed.';
  END IF;
  IF set_setting.name = 'low_balance' AND coalesce(set_setting.value !~ '^[0-9]{1,9}(\.[0-9]{1,6})?$', true) THEN
    RAISE EXCEPTION 'low_balance must be an amount of credits'
      USING ERRCODE = 'PU014', HINT = 'Pass the balance below which an account is told; 0 for never.';
  END IF;
  IF set_setting.name IN ('expiry_warning_days', 'expiry_grace_days') AND coalesce(set_setting.value !~ '^[0-9]{1,3}$', true) THEN
    RAISE EXCEPTION '% must be a number of days between 0 and 999', set_setting.name USING ERRCODE = 'PU014';
  END IF;
  IF set_setting.name = 'credits_on_cancel' AND coalesce(set_setting.value NOT IN ('keep', 'freeze', 'lapse'), true) THEN
    RAISE EXCEPTION 'credits_on_cancel must be keep, freeze or lapse, not %', coalesce('"' || left(set_setting.value, 40) || '"', 'null')
      USING ERRCODE = 'PU014', HINT = 'Pass what becomes of monthly and rollover credits when a subscription has ended.';
  END IF;
  INSERT INTO purser.setting AS s (name, value)
  VALUES (set_setting.name, purser._checked_id(set_setting.value, 'value'))
  ON CONFLICT ON CONSTRAINT setting_pkey DO UPDATE SET value = excluded.value;
  PERFORM purser._audit(purser._checked_id(actor, 'actor'), 'setting.changed', NULL, 'setting', set_setting.name,
                        jsonb_build_object('value', set_setting.value));
END
$$;
COMMENT ON FUNCTION purser.set_setting(text, text, text) IS
  'Changes a setting: default_plan (plan of accounts without a subscription), upgrade_url (where http_body() sends people), correction_days (for how many days past usage can be recorded or corrected), rate_card (the card that prices operations), past_due_grace_days (how long an account that did not pay keeps its plan), low_balance (the balance below which the event credits.low tells of it, where a wallet has no threshold of its own; 0 for never), expiry_warning_days (how long before a grant ends the event credits.expiring tells of it), expiry_grace_days (how long a grant made from now on can still be spent after its expires_at) or credits_on_cancel (what becomes of monthly and rollover credits while an account that was subscribed is not: keep, they stay until they expire; freeze, they wait for its next subscription; lapse, they are lost at the instant it ended). Takes effect everywhere with the commit.';
