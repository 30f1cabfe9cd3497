-- Who may do what. Tables belong to the extension's owner and nobody else writes them; applications
-- get functions. See docs/security.md.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA purser FROM PUBLIC;
GRANT USAGE ON SCHEMA purser TO purser_app, purser_admin, purser_sidecar, purser_reader;

-- The application: decides, charges and shows, for whichever account it serves.
GRANT EXECUTE ON FUNCTION
  purser.clock(),
  purser.setting(text),
  purser.check_and_increment(text, text, bigint, text),
  purser.check_and_increment_batch(text[], text[], bigint[], text[]),
  purser.check_and_increment_all(text, jsonb, text),
  purser.require_quota(text, text, bigint, text),
  purser.record_usage(text, text, bigint, text, timestamptz),
  purser.hold_quota(text, text, bigint, interval, text),
  purser.commit_quota(text, text, bigint),
  purser.release_quota(text, text),
  purser.enforce_quota(),
  purser.check_quota(text, text, bigint),
  purser.usage(text),
  purser.http_status(purser.decision),
  purser.http_body(purser.decision),
  purser.rate_limit(text, text, integer),
  purser.check_rate_limit(text, text, integer),
  purser.check_request(text, jsonb, text),
  purser.rate_limit_key(text, integer, interval, integer),
  purser.http_status(purser.rate_decision),
  purser.http_body(purser.rate_decision),
  purser.http_headers(purser.rate_decision),
  purser.feature_value(text, text),
  purser.has_feature(text, text),
  purser.entitlements(text),
  purser.subscription(text),
  purser.pricing(),
  purser.features(),
  purser.compare_plans(text[]),
  purser.display_price(bigint, text),
  purser.redeem_code(text, text, text),
  purser.account_discounts(text),
  purser.experiment_variant(text, text),
  purser.open_account(text, text, text),
  purser.admit(text, text),
  purser.charge_credits(text, numeric, text, text, text, text, text, jsonb, text, text),
  purser.hold_credits(text, numeric, text, interval, text, text, text, text, text, text),
  purser.capture_credits(text, text, numeric, text, boolean, jsonb, text),
  purser.release_credits(text, text),
  purser.credit_balance(text, text, timestamptz),
  purser.estimate_cost(text, text, numeric, jsonb, text),
  purser.estimate_cost_batch(text, text, numeric[], jsonb, text),
  purser.charge_operation(text, text, numeric, text, jsonb, text, text, text, text, text),
  purser.charge_operation_batch(text, text, numeric[], text, jsonb, text, text, text, text, text),
  purser.hold_operation(text, text, numeric, jsonb, interval, text, text, text, text, text, text),
  purser.capture_operation(text, text, numeric, jsonb, text, text),
  purser.rate_card(text, timestamptz),
  purser.recomputed_amount(jsonb),
  purser.invoice(text, text, text, text),
  purser.invoices(text, text, text, integer),
  purser.account_charges(text, timestamptz, timestamptz, text),
  purser.allowance(text, text, timestamptz),
  purser.ledger_summary(text, integer, text),
  purser.ledger_csv(text, timestamptz, timestamptz, text),
  purser.request_refund(text, text, text, text[], text, text, text),
  purser.credit_packs()
TO purser_app, purser_admin;

-- The operator: plans, accounts, gifts and refunds.
GRANT EXECUTE ON FUNCTION
  purser.set_setting(text, text, text),
  purser.declare_features(jsonb, text),
  purser.validate_plan(jsonb),
  purser.publish_plan(text, jsonb, text, text, boolean),
  purser.plan_history(text),
  purser.validate_rate_card(jsonb),
  purser.publish_rate_card(text, jsonb, text, text, timestamptz, boolean),
  purser.rate_card_history(text),
  purser.rate_card_diff(text, integer, integer),
  purser.replay_rate_card(jsonb, timestamptz, timestamptz, text),
  purser.create_code(text, text, jsonb, integer, timestamptz, boolean, text),
  purser.deactivate_code(text, text),
  purser.declare_experiment(text, jsonb, text),
  purser.close_experiment(text, text),
  purser.experiment_report(text),
  purser.plan_diff(text, integer, integer),
  purser.rollback_plan(text, integer, text, text, boolean),
  purser.subscribe(text, text, text, integer, text, timestamptz),
  purser.start_trial(text, text, integer, text, text, text, boolean),
  purser.extend_trial(text, integer, text, text),
  purser.activate_subscription(text, text),
  purser.mark_past_due(text, text, integer),
  purser.change_plan(text, text, text, integer, boolean, text),
  purser.cancel_subscription(text, text, boolean),
  purser.resume_subscription(text, text),
  purser.pin_subscription(text, integer, timestamptz, text),
  purser.subscription_history(text),
  purser.settle_subscriptions(integer),
  purser.prorated_allowance(text, numeric, numeric),
  purser.set_override(text, text, jsonb, timestamptz, text, text),
  purser.clear_override(text, text, text, text),
  purser.set_time_zone(text, text, text),
  purser.set_account_status(text, text, text, text),
  purser.clear_rate_limits(text, text[], text, text),
  purser.rate_limit_status(),
  purser.reset_usage(text, text, text, text),
  purser.adjust_usage(text, text, bigint, text, text, timestamptz),
  purser.stripe_quota(text, text, integer, text),
  purser.grant_credits(text, numeric, text, text, timestamptz, integer, text, text),
  purser.refund_credits(text, text, numeric, text, text),
  purser.adjust_credits(text, numeric, text, text, text, text, timestamptz),
  purser.refund_unfinished(text, text, numeric, text, text),
  purser.decide_refund(text, text, text, text, numeric, text),
  purser.set_low_balance_alert(text, numeric, text, text),
  purser.set_top_up(text, numeric, numeric, integer, interval, text, text),
  purser.complete_top_up(text, text, text),
  purser.fail_top_up(text, text, text),
  purser.declare_credit_packs(jsonb, text),
  purser.grant_pack(text, text, text, integer),
  purser.run_due(integer),
  purser.account_overview(text, text),
  purser.top_consumers(timestamptz, timestamptz, text, integer),
  purser.near_limit(integer, integer),
  purser.credits_by_month(timestamptz, timestamptz, text),
  purser.most_expensive_operations(timestamptz, timestamptz, text, integer),
  purser.breakage(timestamptz, timestamptz, text),
  purser.verify_ledger(text),
  purser.reconcile(text),
  purser.import_credits(regclass, text, text, numeric, text, text, text, boolean),
  purser.import_credit_rows(jsonb, text, text, numeric, text, text, text, boolean),
  purser.import_report(text)
TO purser_admin;

-- Reading. The operator sees all rows; a reader sees those of the one account named in its
-- setting purser.account_id, and none when it is not set.
GRANT SELECT ON
  purser.account, purser.subscription, purser.feature_override, purser.entitlement, purser.entitlement_stripe,
  purser.usage_period, purser.quota_hold, purser.wallet, purser.credit_grant, purser.credit_hold,
  purser.refund_request, purser.refund_request_entry, purser.top_up, purser.top_up_request, purser.credit_pack,
  purser.ledger, purser.plan, purser.plan_version, purser.rate_card, purser.rate_card_version, purser.feature, purser.setting,
  purser.usage_history, purser.grants, purser.credit_holds, purser.ledger_entries
TO purser_admin, purser_reader;
-- The state of a grant is told by time.
GRANT EXECUTE ON FUNCTION purser.clock() TO purser_reader;
GRANT SELECT ON purser.code, purser.code_redemption, purser.code_report, purser.experiment, purser.experiment_assignment,
  purser.refund_queue
TO purser_admin;
GRANT SELECT ON purser.audit_event, purser.event, purser.job, purser.rate_bucket TO purser_admin;

DO $$
DECLARE
  table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['account', 'subscription', 'feature_override', 'entitlement', 'entitlement_stripe',
                                    'usage_period', 'quota_hold', 'wallet', 'credit_grant', 'credit_hold', 'refund_request',
                                    'refund_request_entry', 'top_up', 'top_up_request', 'ledger'] LOOP
    EXECUTE format('ALTER TABLE purser.%I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY operators_see_all ON purser.%I FOR SELECT TO purser_admin USING (true)',
                   table_name);
    EXECUTE format('CREATE POLICY readers_see_one_account ON purser.%I FOR SELECT TO purser_reader '
                   'USING (account_id = current_setting(''purser.account_id'', true))', table_name);
  END LOOP;
END
$$;

-- Deletion: the operator alone, and with rights of its own on the application's tables.
GRANT EXECUTE ON FUNCTION
  purser.configure_users(regclass, name, name, text, text),
  purser.deletion_rule(regclass, text, name, text),
  purser.remove_deletion_rule(text, name, text),
  purser.plan_user_deletion(text),
  purser.prepare_user_deletion(text, text),
  purser.delete_user(text, text, text, text)
TO purser_admin;
GRANT SELECT ON purser.user_source, purser.deletion_rule TO purser_admin;
