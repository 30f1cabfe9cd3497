-- Every rule at its edges: whatever a caller passes, the answer is a decision or an error of
-- purser's own with the value in it, and nothing is changed by what was refused.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET purser.now = '2026-03-10 12:00+00';
SELECT count(purser.grant_credits('bad-a', 100, 'purchased', 'g'));
SELECT count(purser.charge_credits('bad-a', 1, 'work', 'c', 'episode', 'e1'));
INSERT INTO purser.account (account_id, role, created_at) VALUES ('bad-root', 'superadmin', purser.clock());
SELECT count(purser.hold_credits('bad-a', 1, 'work', '1 day', 'bad-hold'));
SELECT purser.declare_credit_packs('{"bad-pack": {"credits": 1, "cents": 1, "currency": "usd"}}', 'tester');
INSERT INTO purser.top_up_request (account_id, request_id, wallet, amount, balance, requested_at) VALUES ('bad-a', 'bad-top-up', 'credits', 1, 0, purser.clock());
SELECT count(purser.request_refund('bad-a', 'it did not work', 'anna', '{credits/2}', request_id => 'bad-refund'));

SELECT purser.publish_rate_card('bad-card', '{"operations": {"bad-op": {"unit": "s", "rate": 0.001}}}', 'tester', 'x') -> 'version' AS version;
SELECT purser.set_setting('rate_card', 'bad-card');
SELECT count(purser.hold_operation('bad-a', 'bad-op', 1, ttl => '1 day', hold_id => 'bad-op-hold'));
-- Every text argument of every function, with everything that is no identifier. Columns are SQLSTATEs, or ok.
CREATE TEMP TABLE probe (function text, argument text, call text);
INSERT INTO probe VALUES
  ('check_and_increment', 'account_id', $$purser.check_and_increment(%s, 'minutes')$$),
  ('check_and_increment', 'feature', $$purser.check_and_increment('bad-a', %s)$$),
  ('check_and_increment', 'idempotency_key', $$purser.check_and_increment('bad-a', 'minutes', 1, %s)$$),
  ('require_quota', 'account_id', $$purser.require_quota(%s, 'minutes')$$),
  ('require_quota', 'feature', $$purser.require_quota('bad-a', %s)$$),
  ('require_quota', 'idempotency_key', $$purser.require_quota('bad-a', 'minutes', 1, %s)$$),
  ('check_and_increment_all', 'account_id', $$purser.check_and_increment_all(%s, '{"minutes": 1}')$$),
  ('check_and_increment_all', 'idempotency_key', $$purser.check_and_increment_all('bad-a', '{"minutes": 1}', %s)$$),
  ('check_and_increment_batch', 'account_ids', $$purser.check_and_increment_batch(ARRAY[%s], '{minutes}')$$),
  ('check_and_increment_batch', 'features', $$purser.check_and_increment_batch('{bad-a}', ARRAY[%s])$$),
  ('check_and_increment_batch', 'idempotency_keys', $$purser.check_and_increment_batch('{bad-a}', '{minutes}', '{1}', ARRAY[%s])$$),
  ('record_usage', 'account_id', $$purser.record_usage(%s, 'minutes')$$),
  ('record_usage', 'feature', $$purser.record_usage('bad-a', %s)$$),
  ('record_usage', 'idempotency_key', $$purser.record_usage('bad-a', 'minutes', 1, %s)$$),
  ('hold_quota', 'account_id', $$purser.hold_quota(%s, 'minutes')$$),
  ('hold_quota', 'feature', $$purser.hold_quota('bad-a', %s)$$),
  ('hold_quota', 'hold_id', $$purser.hold_quota('bad-a', 'minutes', 1, '1 hour', %s)$$),
  ('commit_quota', 'account_id', $$purser.commit_quota(%s, 'h')$$),
  ('commit_quota', 'hold_id', $$purser.commit_quota('bad-a', %s)$$),
  ('release_quota', 'account_id', $$purser.release_quota(%s, 'h')$$),
  ('release_quota', 'hold_id', $$purser.release_quota('bad-a', %s)$$),
  ('reset_usage', 'account_id', $$purser.reset_usage(%s, 'minutes', 'tester', 'x')$$),
  ('reset_usage', 'feature', $$purser.reset_usage('bad-a', %s, 'tester', 'x')$$),
  ('reset_usage', 'actor', $$purser.reset_usage('bad-a', 'minutes', %s, 'x')$$),
  ('reset_usage', 'reason', $$purser.reset_usage('bad-a', 'minutes', 'tester', %s)$$),
  ('adjust_usage', 'account_id', $$purser.adjust_usage(%s, 'minutes', 1, 'tester', 'x')$$),
  ('adjust_usage', 'feature', $$purser.adjust_usage('bad-a', %s, 1, 'tester', 'x')$$),
  ('adjust_usage', 'actor', $$purser.adjust_usage('bad-a', 'minutes', 1, %s, 'x')$$),
  ('adjust_usage', 'reason', $$purser.adjust_usage('bad-a', 'minutes', 1, 'tester', %s)$$),
  ('stripe_quota', 'account_id', $$purser.stripe_quota(%s, 'minutes', 0, 'tester')$$),
  ('stripe_quota', 'feature', $$purser.stripe_quota('bad-a', %s, 0, 'tester')$$),
  ('stripe_quota', 'actor', $$purser.stripe_quota('bad-a', 'minutes', 0, %s)$$),
  ('check_quota', 'account_id', $$purser.check_quota(%s, 'minutes')$$),
  ('check_quota', 'feature', $$purser.check_quota('bad-a', %s)$$),
  ('usage', 'account_id', $$purser.usage(%s)$$),
  ('feature_value', 'account_id', $$purser.feature_value(%s, 'minutes')$$),
  ('feature_value', 'feature', $$purser.feature_value('bad-a', %s)$$),
  ('has_feature', 'account_id', $$purser.has_feature(%s, 'minutes')$$),
  ('has_feature', 'feature', $$purser.has_feature('bad-a', %s)$$),
  ('open_account', 'account_id', $$purser.open_account(%s)$$),
  ('open_account', 'time_zone', $$purser.open_account('bad-z', %s)$$),
  ('open_account', 'actor', $$purser.open_account('bad-a', 'UTC', %s)$$),
  ('admit', 'account_id', $$purser.admit(%s)$$),
  ('admit', 'actor', $$purser.admit('bad-a', %s)$$),
  ('set_account_status', 'account_id', $$purser.set_account_status(%s, 'active', 'tester', 'x')$$),
  ('set_account_status', 'status', $$purser.set_account_status('bad-a', %s, 'tester', 'x')$$),
  ('set_account_status', 'actor', $$purser.set_account_status('bad-a', 'active', %s, 'x')$$),
  ('set_account_status', 'reason', $$purser.set_account_status('bad-a', 'active', 'tester', %s)$$),
  ('subscribe', 'account_id', $$purser.subscribe(%s, 'pro')$$),
  ('subscribe', 'plan', $$purser.subscribe('bad-z', %s)$$),
  ('subscribe', 'actor', $$purser.subscribe('bad-y', 'pro', %s)$$),
  ('change_plan', 'account_id', $$purser.change_plan(%s, 'pro')$$),
  ('change_plan', 'plan', $$purser.change_plan('bad-z', %s)$$),
  ('change_plan', 'actor', $$purser.change_plan('bad-y', 'pro', %s)$$),
  ('cancel_subscription', 'account_id', $$purser.cancel_subscription(%s)$$),
  ('cancel_subscription', 'actor', $$purser.cancel_subscription('bad-y', %s)$$),
  ('subscribe', 'billing_interval', $$purser.subscribe('bad-y', 'pro', billing_interval => %s)$$),
  ('change_plan', 'billing_interval', $$purser.change_plan('bad-y', 'pro', billing_interval => %s)$$),
  ('start_trial', 'account_id', $$purser.start_trial(%s, 'pro', 7)$$),
  ('start_trial', 'plan', $$purser.start_trial('bad-y', %s, 7)$$),
  ('start_trial', 'fallback_plan', $$purser.start_trial('bad-y', 'pro', 7, %s)$$),
  ('start_trial', 'actor', $$purser.start_trial('bad-y', 'pro', 7, actor => %s)$$),
  ('start_trial', 'billing_interval', $$purser.start_trial('bad-y', 'pro', 7, billing_interval => %s)$$),
  ('extend_trial', 'account_id', $$purser.extend_trial(%s, 7, 'tester', 'x')$$),
  ('extend_trial', 'actor', $$purser.extend_trial('bad-y', 7, %s, 'x')$$),
  ('extend_trial', 'reason', $$purser.extend_trial('bad-y', 7, 'tester', %s)$$),
  ('activate_subscription', 'account_id', $$purser.activate_subscription(%s)$$),
  ('activate_subscription', 'actor', $$purser.activate_subscription('bad-y', %s)$$),
  ('mark_past_due', 'account_id', $$purser.mark_past_due(%s)$$),
  ('mark_past_due', 'actor', $$purser.mark_past_due('bad-y', %s)$$),
  ('resume_subscription', 'account_id', $$purser.resume_subscription(%s)$$),
  ('resume_subscription', 'actor', $$purser.resume_subscription('bad-y', %s)$$),
  ('pin_subscription', 'account_id', $$purser.pin_subscription(%s, 1)$$),
  ('pin_subscription', 'actor', $$purser.pin_subscription('bad-y', 1, actor => %s)$$),
  ('subscription', 'account_id', $$purser.subscription(%s)$$),
  ('subscription_history', 'account_id', $$purser.subscription_history(%s)$$),
  ('prorated_allowance', 'account_id', $$purser.prorated_allowance(%s, 1, 2)$$),
  ('set_time_zone', 'account_id', $$purser.set_time_zone(%s, 'UTC')$$),
  ('set_time_zone', 'time_zone', $$purser.set_time_zone('bad-a', %s)$$),
  ('set_time_zone', 'actor', $$purser.set_time_zone('bad-a', 'UTC', %s)$$),
  ('set_override', 'account_id', $$purser.set_override(%s, 'minutes', '5', NULL, 'x')$$),
  ('set_override', 'feature', $$purser.set_override('bad-a', %s, '5', NULL, 'x')$$),
  ('set_override', 'reason', $$purser.set_override('bad-a', 'minutes', '5', NULL, %s)$$),
  ('set_override', 'actor', $$purser.set_override('bad-a', 'minutes', '5', NULL, 'x', %s)$$),
  ('clear_override', 'account_id', $$purser.clear_override(%s, 'minutes', 'x')$$),
  ('clear_override', 'feature', $$purser.clear_override('bad-a', %s, 'x')$$),
  ('clear_override', 'reason', $$purser.clear_override('bad-a', 'minutes', %s)$$),
  ('clear_override', 'actor', $$purser.clear_override('bad-a', 'minutes', 'x', %s)$$),
  ('entitlements', 'account_id', $$purser.entitlements(%s)$$),
  ('publish_plan', 'code', $$purser.publish_plan(%s, '{"name": "Bad"}', 'tester', 'x', dry_run => true)$$),
  ('publish_plan', 'actor', $$purser.publish_plan('bad', '{"name": "Bad"}', %s, 'x', dry_run => true)$$),
  ('publish_plan', 'reason', $$purser.publish_plan('bad', '{"name": "Bad"}', 'tester', %s, dry_run => true)$$),
  ('plan_history', 'code', $$purser.plan_history(%s)$$),
  ('plan_diff', 'code', $$purser.plan_diff(%s, 1, 1)$$),
  ('rollback_plan', 'code', $$purser.rollback_plan(%s, 1, 'tester', 'x', dry_run => true)$$),
  ('rollback_plan', 'actor', $$purser.rollback_plan('free', 1, %s, 'x', dry_run => true)$$),
  ('rollback_plan', 'reason', $$purser.rollback_plan('free', 1, 'tester', %s, dry_run => true)$$),
  ('create_code', 'code', $$purser.create_code(%s, 'trial', '{"days": 7}')$$),
  ('create_code', 'kind', $$purser.create_code('bad', %s, '{"days": 7}')$$),
  ('create_code', 'actor', $$purser.create_code('bad', 'trial', '{"days": 7}', actor => %s)$$),
  ('deactivate_code', 'code', $$purser.deactivate_code(%s)$$),
  ('deactivate_code', 'actor', $$purser.deactivate_code('no-such-code', %s)$$),
  ('redeem_code', 'account_id', $$purser.redeem_code(%s, 'no-such-code')$$),
  ('redeem_code', 'code', $$purser.redeem_code('bad-a', %s)$$),
  ('redeem_code', 'correlation_id', $$purser.redeem_code('bad-a', 'no-such-code', %s)$$),
  ('account_discounts', 'account_id', $$purser.account_discounts(%s)$$),
  ('declare_experiment', 'name', $$purser.declare_experiment(%s, '{"a": 1}')$$),
  ('declare_experiment', 'actor', $$purser.declare_experiment('bad', '{"a": 1}', %s)$$),
  ('experiment_variant', 'account_id', $$purser.experiment_variant(%s, 'bad')$$),
  ('experiment_variant', 'name', $$purser.experiment_variant('bad-a', %s)$$),
  ('close_experiment', 'name', $$purser.close_experiment(%s)$$),
  ('close_experiment', 'actor', $$purser.close_experiment('bad', %s)$$),
  ('experiment_report', 'name', $$purser.experiment_report(%s)$$),
  ('declare_features', 'actor', $$purser.declare_features('{}', %s)$$),
  ('check_request', 'account_id', $$purser.check_request(%s, '{"quotas": {"minutes": 1}}')$$),
  ('check_request', 'idempotency_key', $$purser.check_request('bad-a', '{"quotas": {"minutes": 1}}', %s)$$),
  ('check_rate_limit', 'account_id', $$purser.check_rate_limit(%s, 'api')$$),
  ('check_rate_limit', 'scope', $$purser.check_rate_limit('bad-a', %s)$$),
  ('rate_limit', 'account_id', $$purser.rate_limit(%s, 'bad')$$),
  ('rate_limit', 'scope', $$purser.rate_limit('bad-a', %s)$$),
  ('rate_limit_key', 'key', $$purser.rate_limit_key(%s, 5, '1 hour')$$),
  ('clear_rate_limits', 'account_id', $$purser.clear_rate_limits(%s, NULL, 'tester', 'x')$$),
  ('clear_rate_limits', 'actor', $$purser.clear_rate_limits('bad-a', NULL, %s, 'x')$$),
  ('clear_rate_limits', 'reason', $$purser.clear_rate_limits('bad-a', NULL, 'tester', %s)$$),
  ('set_setting', 'name', $$purser.set_setting(%s, 'x')$$),
  ('set_setting', 'value', $$purser.set_setting('upgrade_url', %s)$$),
  ('set_setting', 'actor', $$purser.set_setting('default_plan', 'free', %s)$$),
  ('grant_credits', 'account_id', $$purser.grant_credits(%s, 1, 'purchased', 'bad')$$),
  ('grant_credits', 'kind', $$purser.grant_credits('bad-a', 1, %s, 'bad')$$),
  ('grant_credits', 'correlation_id', $$purser.grant_credits('bad-a', 1, 'purchased', %s)$$),
  ('grant_credits', 'wallet', $$purser.grant_credits('bad-a', 1, 'purchased', 'bad', wallet => %s)$$),
  ('grant_credits', 'notes', $$purser.grant_credits('bad-a', 1, 'purchased', 'bad', notes => %s)$$),
  ('charge_credits', 'account_id', $$purser.charge_credits(%s, 1, 'work', 'bad')$$),
  ('charge_credits', 'reason', $$purser.charge_credits('bad-a', 1, %s, 'bad')$$),
  ('charge_credits', 'correlation_id', $$purser.charge_credits('bad-a', 1, 'work', %s)$$),
  ('charge_credits', 'resource_type', $$purser.charge_credits('bad-a', 1, 'work', 'bad', %s, 'e1')$$),
  ('charge_credits', 'resource_id', $$purser.charge_credits('bad-a', 1, 'work', 'bad', 'episode', %s)$$),
  ('charge_credits', 'resource_title', $$purser.charge_credits('bad-a', 1, 'work', 'bad', 'episode', 'e1', %s)$$),
  ('charge_credits', 'wallet', $$purser.charge_credits('bad-a', 1, 'work', 'bad', wallet => %s)$$),
  ('charge_credits', 'notes', $$purser.charge_credits('bad-a', 1, 'work', 'bad', notes => %s)$$),
  ('hold_credits', 'account_id', $$purser.hold_credits(%s, 1, 'work', hold_id => 'bad')$$),
  ('hold_credits', 'reason', $$purser.hold_credits('bad-a', 1, %s, hold_id => 'bad')$$),
  ('hold_credits', 'hold_id', $$purser.hold_credits('bad-a', 1, 'work', hold_id => %s)$$),
  ('hold_credits', 'resource_type', $$purser.hold_credits('bad-a', 1, 'work', '1 day', 'bad', %s, 'e1')$$),
  ('hold_credits', 'resource_id', $$purser.hold_credits('bad-a', 1, 'work', '1 day', 'bad', 'episode', %s)$$),
  ('hold_credits', 'resource_title', $$purser.hold_credits('bad-a', 1, 'work', '1 day', 'bad', 'episode', 'e1', %s)$$),
  ('hold_credits', 'wallet', $$purser.hold_credits('bad-a', 1, 'work', hold_id => 'bad', wallet => %s)$$),
  ('hold_credits', 'notes', $$purser.hold_credits('bad-a', 1, 'work', hold_id => 'bad', notes => %s)$$),
  ('capture_credits', 'account_id', $$purser.capture_credits(%s, 'bad-hold', 0.01)$$),
  ('capture_credits', 'hold_id', $$purser.capture_credits('bad-a', %s, 0.01)$$),
  ('capture_credits', 'correlation_id', $$purser.capture_credits('bad-a', 'bad-hold', 0.01, %s, false)$$),
  ('capture_credits', 'notes', $$purser.capture_credits('bad-a', 'bad-hold', 0.01, 'bad', false, notes => %s)$$),
  ('release_credits', 'account_id', $$purser.release_credits(%s, 'bad-hold')$$),
  ('release_credits', 'hold_id', $$purser.release_credits('bad-a', %s)$$),
  ('refund_credits', 'account_id', $$purser.refund_credits(%s, 'credits/2', 1, 'r', 'bad')$$),
  ('refund_credits', 'entry_id', $$purser.refund_credits('bad-a', %s, 1, 'r', 'bad')$$),
  ('refund_credits', 'reason', $$purser.refund_credits('bad-a', 'credits/2', 0.001, %s, 'bad')$$),
  ('refund_credits', 'correlation_id', $$purser.refund_credits('bad-a', 'credits/2', 0.001, 'r', %s)$$),
  ('credit_balance', 'account_id', $$purser.credit_balance(%s)$$),
  ('credit_balance', 'wallet', $$purser.credit_balance('bad-a', %s)$$),
  ('set_low_balance_alert', 'account_id', $$purser.set_low_balance_alert(%s, 1)$$),
  ('set_low_balance_alert', 'wallet', $$purser.set_low_balance_alert('bad-a', 1, %s)$$),
  ('set_low_balance_alert', 'actor', $$purser.set_low_balance_alert('bad-a', 1, actor => %s)$$),
  ('set_top_up', 'account_id', $$purser.set_top_up(%s, 1, 1)$$),
  ('set_top_up', 'wallet', $$purser.set_top_up('bad-a', 1, 1, wallet => %s)$$),
  ('set_top_up', 'actor', $$purser.set_top_up('bad-a', 1, 1, actor => %s)$$),
  ('complete_top_up', 'account_id', $$purser.complete_top_up(%s, 'bad-top-up', 'pi')$$),
  ('complete_top_up', 'request_id', $$purser.complete_top_up('bad-a', %s, 'pi')$$),
  ('complete_top_up', 'payment_reference', $$purser.complete_top_up('bad-a', 'bad-top-up', %s)$$),
  ('fail_top_up', 'account_id', $$purser.fail_top_up(%s, 'bad-top-up', 'no')$$),
  ('fail_top_up', 'request_id', $$purser.fail_top_up('bad-a', %s, 'no')$$),
  ('fail_top_up', 'failure', $$purser.fail_top_up('bad-a', 'bad-top-up', %s)$$),
  ('declare_credit_packs', 'actor', $$purser.declare_credit_packs('{"bad": {"credits": 1, "cents": 1, "currency": "usd"}}', %s)$$),
  ('grant_pack', 'account_id', $$purser.grant_pack(%s, 'bad-pack', 'bad')$$),
  ('grant_pack', 'pack', $$purser.grant_pack('bad-a', %s, 'bad')$$),
  ('grant_pack', 'correlation_id', $$purser.grant_pack('bad-a', 'bad-pack', %s)$$),
  ('invoices', 'account_id', $$purser.invoices(%s)$$),
  ('invoices', 'wallet', $$purser.invoices('bad-a', %s)$$),
  ('invoices', 'before', $$purser.invoices('bad-a', before => %s)$$),
  ('account_charges', 'account_id', $$purser.account_charges(%s)$$),
  ('account_charges', 'wallet', $$purser.account_charges('bad-a', wallet => %s)$$),
  ('allowance', 'account_id', $$purser.allowance(%s)$$),
  ('allowance', 'wallet', $$purser.allowance('bad-a', %s)$$),
  ('ledger_summary', 'account_id', $$purser.ledger_summary(%s)$$),
  ('ledger_summary', 'wallet', $$purser.ledger_summary('bad-a', 1, %s)$$),
  ('ledger_csv', 'account_id', $$purser.ledger_csv(%s)$$),
  ('ledger_csv', 'wallet', $$purser.ledger_csv('bad-a', wallet => %s)$$),
  ('account_overview', 'account_id', $$purser.account_overview(%s)$$),
  ('account_overview', 'wallet', $$purser.account_overview('bad-a', %s)$$),
  ('request_refund', 'account_id', $$purser.request_refund(%s, 'it did not work', 'anna', '{credits/2}')$$),
  ('request_refund', 'reason', $$purser.request_refund('bad-a', %s, 'anna', '{credits/2}')$$),
  ('request_refund', 'requested_by', $$purser.request_refund('bad-a', 'it did not work', %s, '{credits/2}')$$),
  ('request_refund', 'entry_ids', $$purser.request_refund('bad-a', 'it did not work', 'anna', ARRAY[%s])$$),
  ('request_refund', 'resource_type', $$purser.request_refund('bad-a', 'it did not work', 'anna', NULL, %s, 'e1')$$),
  ('request_refund', 'resource_id', $$purser.request_refund('bad-a', 'it did not work', 'anna', NULL, 'episode', %s)$$),
  ('request_refund', 'request_id', $$purser.request_refund('bad-a', 'it did not work', 'anna', '{credits/2}', request_id => %s)$$),
  ('decide_refund', 'account_id', $$purser.decide_refund(%s, 'bad-refund', 'approve', 'tester')$$),
  ('decide_refund', 'request_id', $$purser.decide_refund('bad-a', %s, 'approve', 'tester')$$),
  ('decide_refund', 'decision', $$purser.decide_refund('bad-a', 'bad-refund', %s, 'tester')$$),
  ('decide_refund', 'actor', $$purser.decide_refund('bad-a', 'bad-refund', 'approve', %s)$$),
  ('decide_refund', 'reason', $$purser.decide_refund('bad-a', 'bad-refund', 'approve', 'tester', NULL, %s)$$),
  ('refund_unfinished', 'account_id', $$purser.refund_unfinished(%s, 'credits/2', 0.5, 'r', 'bad')$$),
  ('refund_unfinished', 'entry_id', $$purser.refund_unfinished('bad-a', %s, 0.5, 'r', 'bad')$$),
  ('refund_unfinished', 'reason', $$purser.refund_unfinished('bad-a', 'credits/2', 0.5, %s, 'bad')$$),
  ('refund_unfinished', 'correlation_id', $$purser.refund_unfinished('bad-a', 'credits/2', 0.5, 'r', %s)$$),
  ('top_consumers', 'wallet', $$purser.top_consumers(wallet => %s)$$),
  ('credits_by_month', 'wallet', $$purser.credits_by_month(wallet => %s)$$),
  ('most_expensive_operations', 'wallet', $$purser.most_expensive_operations(wallet => %s)$$),
  ('breakage', 'wallet', $$purser.breakage(wallet => %s)$$),
  ('invoice', 'account_id', $$purser.invoice(%s, 'episode', 'e1')$$),
  ('invoice', 'resource_type', $$purser.invoice('bad-a', %s, 'e1')$$),
  ('invoice', 'resource_id', $$purser.invoice('bad-a', 'episode', %s)$$),
  ('invoice', 'wallet', $$purser.invoice('bad-a', 'episode', 'e1', %s)$$),
  ('charge_operation', 'account_id', $$purser.charge_operation(%s, 'bad-op', 1, 'bad')$$),
  ('charge_operation', 'operation', $$purser.charge_operation('bad-a', %s, 1, 'bad')$$),
  ('charge_operation', 'correlation_id', $$purser.charge_operation('bad-a', 'bad-op', 1, %s)$$),
  ('charge_operation', 'resource_type', $$purser.charge_operation('bad-a', 'bad-op', 1, 'bad', '{}', %s, 'e1')$$),
  ('charge_operation', 'resource_id', $$purser.charge_operation('bad-a', 'bad-op', 1, 'bad', '{}', 'episode', %s)$$),
  ('charge_operation', 'resource_title', $$purser.charge_operation('bad-a', 'bad-op', 1, 'bad', '{}', 'episode', 'e1', %s)$$),
  ('charge_operation', 'wallet', $$purser.charge_operation('bad-a', 'bad-op', 1, 'bad', wallet => %s)$$),
  ('charge_operation', 'notes', $$purser.charge_operation('bad-a', 'bad-op', 1, 'bad', notes => %s)$$),
  ('charge_operation_batch', 'account_id', $$purser.charge_operation_batch(%s, 'bad-op', '{1}', 'bad')$$),
  ('charge_operation_batch', 'operation', $$purser.charge_operation_batch('bad-a', %s, '{1}', 'bad')$$),
  ('charge_operation_batch', 'correlation_id', $$purser.charge_operation_batch('bad-a', 'bad-op', '{1}', %s)$$),
  ('charge_operation_batch', 'resource_type', $$purser.charge_operation_batch('bad-a', 'bad-op', '{1}', 'bad', '{}', %s, 'e1')$$),
  ('charge_operation_batch', 'resource_id', $$purser.charge_operation_batch('bad-a', 'bad-op', '{1}', 'bad', '{}', 'episode', %s)$$),
  ('charge_operation_batch', 'resource_title', $$purser.charge_operation_batch('bad-a', 'bad-op', '{1}', 'bad', '{}', 'episode', 'e1', %s)$$),
  ('charge_operation_batch', 'wallet', $$purser.charge_operation_batch('bad-a', 'bad-op', '{1}', 'bad', wallet => %s)$$),
  ('charge_operation_batch', 'notes', $$purser.charge_operation_batch('bad-a', 'bad-op', '{1}', 'bad', notes => %s)$$),
  ('hold_operation', 'account_id', $$purser.hold_operation(%s, 'bad-op', 1, hold_id => 'bad')$$),
  ('hold_operation', 'operation', $$purser.hold_operation('bad-a', %s, 1, hold_id => 'bad')$$),
  ('hold_operation', 'hold_id', $$purser.hold_operation('bad-a', 'bad-op', 1, hold_id => %s)$$),
  ('hold_operation', 'resource_type', $$purser.hold_operation('bad-a', 'bad-op', 1, '{}', '1 day', 'bad', %s, 'e1')$$),
  ('hold_operation', 'resource_id', $$purser.hold_operation('bad-a', 'bad-op', 1, '{}', '1 day', 'bad', 'episode', %s)$$),
  ('hold_operation', 'resource_title', $$purser.hold_operation('bad-a', 'bad-op', 1, '{}', '1 day', 'bad', 'episode', 'e1', %s)$$),
  ('hold_operation', 'wallet', $$purser.hold_operation('bad-a', 'bad-op', 1, hold_id => 'bad', wallet => %s)$$),
  ('hold_operation', 'notes', $$purser.hold_operation('bad-a', 'bad-op', 1, hold_id => 'bad', notes => %s)$$),
  ('capture_operation', 'account_id', $$purser.capture_operation(%s, 'bad-op-hold')$$),
  ('capture_operation', 'hold_id', $$purser.capture_operation('bad-a', %s)$$),
  ('capture_operation', 'correlation_id', $$purser.capture_operation('bad-a', 'bad-op-hold', correlation_id => %s)$$),
  ('capture_operation', 'notes', $$purser.capture_operation('bad-a', 'bad-op-hold', notes => %s)$$),
  ('estimate_cost', 'account_id', $$purser.estimate_cost(%s, 'bad-op', 1)$$),
  ('estimate_cost', 'operation', $$purser.estimate_cost('bad-a', %s, 1)$$),
  ('estimate_cost', 'wallet', $$purser.estimate_cost('bad-a', 'bad-op', 1, wallet => %s)$$),
  ('estimate_cost_batch', 'account_id', $$purser.estimate_cost_batch(%s, 'bad-op', '{1}')$$),
  ('estimate_cost_batch', 'operation', $$purser.estimate_cost_batch('bad-a', %s, '{1}')$$),
  ('estimate_cost_batch', 'wallet', $$purser.estimate_cost_batch('bad-a', 'bad-op', '{1}', wallet => %s)$$),
  ('publish_rate_card', 'card', $$purser.publish_rate_card(%s, '{}', 'tester', 'x', dry_run => true)$$),
  ('publish_rate_card', 'actor', $$purser.publish_rate_card('bad', '{}', %s, 'x', dry_run => true)$$),
  ('publish_rate_card', 'reason', $$purser.publish_rate_card('bad', '{}', 'tester', %s, dry_run => true)$$),
  ('rate_card', 'card', $$purser.rate_card(%s)$$),
  ('rate_card_history', 'card', $$purser.rate_card_history(%s)$$),
  ('rate_card_diff', 'card', $$purser.rate_card_diff(%s, 1, 1)$$),
  ('replay_rate_card', 'account_id', $$purser.replay_rate_card('{"operations": {}}', '2026-01-01', NULL, %s)$$),
  ('verify_ledger', 'account_id', $$purser.verify_ledger(%s)$$),
  ('reconcile', 'account_id', $$purser.reconcile(%s)$$),
  ('import_credits', 'batch', $$purser.import_credits('purser.quota_key', %s, 'tester')$$),
  ('import_credits', 'actor', $$purser.import_credits('purser.quota_key', 'b', %s)$$),
  ('import_credits', 'unit', $$purser.import_credits('purser.quota_key', 'b', 'tester', unit => %s)$$),
  ('import_credits', 'wallet', $$purser.import_credits('purser.quota_key', 'b', 'tester', wallet => %s)$$),
  ('import_credits', 'kind', $$purser.import_credits('purser.quota_key', 'b', 'tester', kind => %s)$$),
  ('import_credit_rows', 'batch', $$purser.import_credit_rows('[]', %s, 'tester')$$),
  ('import_credit_rows', 'actor', $$purser.import_credit_rows('[]', 'b', %s)$$),
  ('import_credit_rows', 'unit', $$purser.import_credit_rows('[]', 'b', 'tester', unit => %s)$$),
  ('import_credit_rows', 'wallet', $$purser.import_credit_rows('[]', 'b', 'tester', wallet => %s)$$),
  ('import_credit_rows', 'kind', $$purser.import_credit_rows('[]', 'b', 'tester', kind => %s)$$),
  ('import_report', 'batch', $$purser.import_report(%s)$$),
  ('adjust_credits', 'account_id', $$purser.adjust_credits(%s, 1, 'bad-root', 'x', 'bad')$$),
  ('adjust_credits', 'actor', $$purser.adjust_credits('bad-a', 1, %s, 'x', 'bad')$$),
  ('adjust_credits', 'reason', $$purser.adjust_credits('bad-a', 1, 'bad-root', %s, 'bad')$$),
  ('adjust_credits', 'correlation_id', $$purser.adjust_credits('bad-a', 1, 'bad-root', 'x', %s)$$),
  ('adjust_credits', 'wallet', $$purser.adjust_credits('bad-a', 1, 'bad-root', 'x', 'bad', %s)$$),
  ('setting', 'name', $$purser.setting(%s)$$);
-- Nothing public was forgotten.
SELECT p.proname, argument.name AS argument_without_probe
  FROM pg_proc AS p,
       LATERAL unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) AS argument (name, type)
 WHERE p.pronamespace = 'purser'::regnamespace AND p.proname NOT LIKE '\_%' AND argument.type = 'text'::regtype
   AND has_function_privilege('purser_admin', p.oid, 'EXECUTE') AND p.proname !~ 'delet|configure_users|display_price'
   AND NOT EXISTS (SELECT FROM probe AS b WHERE b.function = p.proname AND b.argument = argument.name)
 ORDER BY 1, 2;

CREATE FUNCTION pg_temp.outcome(call text, value text) RETURNS text
  LANGUAGE plpgsql
AS $$
DECLARE
  message text;
BEGIN
  EXECUTE 'SELECT ' || format(call, quote_nullable(value));
  RAISE EXCEPTION USING ERRCODE = 'ZZ999';
EXCEPTION
  WHEN SQLSTATE 'ZZ999' THEN
    RETURN 'ok';
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
    RETURN SQLSTATE || CASE WHEN SQLSTATE NOT LIKE 'PU%' OR length(message) > 400 THEN ' ' || left(message, 60) ELSE '' END;
END
$$;
SELECT function, argument,
       pg_temp.outcome(call, NULL) AS "null",
       pg_temp.outcome(call, '') AS empty,
       pg_temp.outcome(call, repeat('x', 256)) AS "256",
       pg_temp.outcome(call, repeat('x', 10240)) AS "10 kB",
       pg_temp.outcome(call, E'a\tb') AS tab,
       pg_temp.outcome(call, E'a\x01b') AS control,
       pg_temp.outcome(call, E'a\x7f') AS "delete",
       pg_temp.outcome(call, 'ünïcödé 漢字 🎧') AS unicode,
       pg_temp.outcome(call, $q$'; DROP TABLE purser.ledger; --"\$q$) AS injection
  FROM probe ORDER BY probe.ctid;

-- What is accepted is stored and found again as it was given, quotes and all.
SELECT d.account_id, d.used FROM purser.check_and_increment($q$O'Brien"; DROP SCHEMA purser CASCADE; -- \ 漢字$q$, 'minutes', 3) AS d;
SELECT d.account_id, d.used FROM purser.check_quota($q$O'Brien"; DROP SCHEMA purser CASCADE; -- \ 漢字$q$, 'minutes') AS d;
SELECT balance_after FROM purser.grant_credits($q$O'Brien "x"$q$, 5, 'purchased', $q$id'; --$q$, notes => E'line one\nline two "quoted"');
SELECT reason, resource_id, correlation_id FROM purser.charge_credits($q$O'Brien "x"$q$, 5, $q$it's "work"$q$, $q${"id": 'x'}$q$, 'épisode', $q$'; --$q$, $q$"Title"$q$, '{"a\"b": "\u2028"}');
DO $$
DECLARE
  detail text;
BEGIN
  PERFORM purser.charge_credits(E'O\'Brien "x"', 1, 'work', 'c2', wallet => 'credits');
EXCEPTION WHEN SQLSTATE 'PU002' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RAISE NOTICE '%', detail::jsonb ->> 'account_id';
END
$$;
SELECT purser.invoice($q$O'Brien "x"$q$, 'épisode', $q$'; --$q$) #>> '{lines,0,reason}' AS reason;
-- 255 bytes are enough for any id, characters count by their bytes.
SELECT length(account_id), used FROM purser.check_and_increment(repeat('x', 255), 'minutes');
SELECT tried(format('SELECT purser.check_and_increment(%L, %L)', repeat('漢', 86), 'minutes'));
SELECT tried($$SELECT purser.check_and_increment('bad-a', 'teleports')$$);
SELECT tried($$SELECT purser.open_account('bad-z', 'Mars/Olympus')$$);
SELECT tried($$SELECT purser.open_account('bad-z', '../../etc/passwd')$$);
SELECT tried($$SELECT purser.check_and_increment('bad-a', E'min\nutes')$$);

-- Amounts of usage.
SELECT amount, tried(format('SELECT purser.check_and_increment(%L, %L, %s)', 'bad-a', 'minutes', amount)) AS answer
  FROM unnest(ARRAY['NULL', '0', '-1', '-9223372036854775808']) AS amount;
SELECT amount, left(tried(format('SELECT purser.check_quota(%L, %L, %s)', 'bad-a', 'minutes', amount)), 5) AS code
  FROM unnest(ARRAY['NULL', '0', '-1', '-9223372036854775808']) AS amount;

-- Documents.
SELECT tried(format('SELECT purser.publish_plan(%L, %L, %L, %L)', 'bad', document, 'tester', 'x')) AS answer
  FROM unnest(ARRAY[NULL, 'null', '[]', '1', '"x"', '{}', '{"name": 1}', '{"name": "x", "prices": {}}', '{"name": "x", "features": []}']) AS document;
SELECT tried(format('SELECT purser.declare_features(%L, %L)', document, 'tester')) AS answer
  FROM unnest(ARRAY[NULL, 'null', '[]', '1', '{"x": null}', '{"": {"kind": "switch"}}']) AS document;
SELECT rule, message FROM purser.validate_plan(NULL);
SELECT rule, left(message, 60) FROM purser.validate_plan(('{"name": ' || repeat('[', 200) || repeat(']', 200) || '}')::jsonb);
SELECT tried($$SELECT rule FROM purser.validate_plan(jsonb_build_object('name', 'big', 'description', repeat('x', 5000000)))$$);
SELECT tried($$SELECT rule FROM purser.validate_plan(jsonb_build_object('name', 'big', 'description', repeat('x', 1100000)))$$);
SELECT left(tried(format('SELECT purser.charge_credits(%L, 1, %L, %L, breakdown => %L)', 'bad-a', 'work', 'big',
                         jsonb_build_object('x', repeat('x', 1100000)))), 60) AS answer;

-- Decisions made by hand.
SELECT purser.http_status(NULL::purser.decision), purser.http_status(ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::purser.decision);
SELECT purser.http_body(NULL::purser.decision), purser.http_body(ROW(false, 'new_reason', 'a', 'minutes', 1, 1, 0, NULL, 'ok', 100, 0, 0, NULL)::purser.decision) ->> 'detail' AS detail;

-- After all that nothing was charged or counted that should not have been, and the books are in order.
SELECT feature, used FROM purser.entitlement WHERE account_id = 'bad-a' AND used > 0;
SELECT count(*) AS entries FROM purser.ledger WHERE account_id = 'bad-a';
SELECT account_id FROM purser.account WHERE account_id LIKE 'bad-%' ORDER BY 1;
SELECT count(*) AS violations FROM purser.verify_ledger();
SELECT * FROM purser.reconcile();
