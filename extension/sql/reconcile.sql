-- Reconciliation: every invariant of the books and of the counters, proved from the rows themselves.
-- Nothing here is locked. All of it reads the snapshot of the statement that asks, which is why every
-- function is STABLE: a charge in flight is seen whole or not at all. Each rule is one set-based
-- query, planned anew for one account or for all. Hashes are verify_ledger()'s business.

-- What an entry says of its grants, however it was edited: parts that cannot be read are left out
-- here and reported by allocations_unreadable.
CREATE VIEW purser._allocations AS
SELECT l.account_id, l.wallet, l.entry_no, l.direction, l.refund_of, part.grant_id, part.kind, part.amount
  FROM purser.ledger AS l,
       LATERAL (
         SELECT CASE WHEN a ->> 'grant_id' ~ '^[0-9]{1,18}$' THEN (a ->> 'grant_id')::bigint END AS grant_id,
                a ->> 'kind' AS kind,
                CASE WHEN jsonb_typeof(a -> 'amount') = 'number' THEN (a -> 'amount')::numeric END AS amount
           FROM jsonb_array_elements(CASE jsonb_typeof(l.allocations) WHEN 'array' THEN l.allocations ELSE '[]' END) AS a
       ) AS part;
COMMENT ON VIEW purser._allocations IS
  'Internal. What each ledger entry took from or gave to each grant; grant_id and amount are NULL where they cannot be read.';

CREATE FUNCTION purser._reconcile_rows(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT r.account_id, 'account_missing', format('there are rows in %s, and no account', string_agg(r.relation, ', ' ORDER BY r.relation))
    FROM (SELECT DISTINCT w.account_id, 'wallet' AS relation FROM purser.wallet AS w
          UNION SELECT e.account_id, 'entitlement' FROM purser.entitlement AS e
          UNION SELECT s.account_id, 'subscription' FROM purser.subscription AS s) AS r
   WHERE (asked IS NULL OR r.account_id = asked)
     AND NOT EXISTS (SELECT FROM purser.account AS a WHERE a.account_id = r.account_id)
   GROUP BY r.account_id;

  RETURN QUERY
  SELECT r.account_id || '/' || r.wallet, 'wallet_missing',
         format('there are rows in %s, and no wallet', string_agg(r.relation, ', ' ORDER BY r.relation))
    FROM (SELECT DISTINCT l.account_id, l.wallet, 'ledger' AS relation FROM purser.ledger AS l
          UNION SELECT g.account_id, g.wallet, 'credit_grant' FROM purser.credit_grant AS g
          UNION SELECT h.account_id, h.wallet, 'credit_hold' FROM purser.credit_hold AS h) AS r
   WHERE (asked IS NULL OR r.account_id = asked)
     AND NOT EXISTS (SELECT FROM purser.wallet AS w WHERE w.account_id = r.account_id AND w.wallet = r.wallet)
   GROUP BY r.account_id, r.wallet;

  RETURN QUERY
  SELECT w.account_id || '/' || w.wallet, 'status_mismatch',
         format('the wallet says %s, the account is %s', w.status, a.status)
    FROM purser.wallet AS w
    JOIN purser.account AS a ON a.account_id = w.account_id
   WHERE (asked IS NULL OR w.account_id = asked) AND w.status <> a.status;
END
$$;
COMMENT ON FUNCTION purser._reconcile_rows(text) IS 'Internal. The rules of reconcile() on rows that belong to another row.';

CREATE FUNCTION purser._reconcile_entries(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  -- Each entry beside the one before it, in the order of the primary key.
  RETURN QUERY
  SELECT format('%s/%s/%s', e.account_id, e.wallet, e.entry_no), v.rule, v.message
    FROM (SELECT l.account_id, l.wallet, l.entry_no, l.direction, l.amount, l.balance_after,
                 lag(l.entry_no, 1, 0::bigint) OVER chain AS entry_before,
                 lag(l.balance_after, 1, 0::numeric) OVER chain AS balance_before
            FROM purser.ledger AS l
           WHERE asked IS NULL OR l.account_id = asked
          WINDOW chain AS (PARTITION BY l.account_id, l.wallet ORDER BY l.entry_no)) AS e,
         LATERAL (
           SELECT 'entry_missing', format('the entry before it is %s', e.entry_before)
            WHERE e.entry_no <> e.entry_before + 1
           UNION ALL
           SELECT 'direction_unknown', format('direction is "%s"', e.direction)
            WHERE e.direction NOT IN ('DEBIT', 'CREDIT')
           UNION ALL
           SELECT 'amount_invalid', format('amount is %s', e.amount)
            WHERE NOT (e.amount > 0 AND e.amount < 'Infinity' AND e.amount = round(e.amount, 6))
           UNION ALL
           SELECT 'balance_negative', format('balance after is %s', e.balance_after)
            WHERE e.balance_after < 0
           UNION ALL
           SELECT 'entry_balance_mismatch',
                  format('balance after is %s, expected %s', e.balance_after,
                         e.balance_before + CASE e.direction WHEN 'CREDIT' THEN e.amount ELSE -e.amount END)
            WHERE e.balance_after <> e.balance_before + CASE e.direction WHEN 'CREDIT' THEN e.amount ELSE -e.amount END
         ) AS v (rule, message);

  RETURN QUERY
  SELECT format('%s/%s/%s', l.account_id, l.wallet, l.entry_no),
         CASE WHEN parts.readable THEN 'allocations_mismatch' ELSE 'allocations_unreadable' END,
         CASE WHEN parts.readable THEN format('the amount is %s, its allocations sum to %s', l.amount, parts.total)
              ELSE 'allocations are not a list of grants with amounts' END
    FROM purser.ledger AS l,
         LATERAL (SELECT coalesce(sum(p.amount), 0) AS total,
                         jsonb_typeof(l.allocations) = 'array'
                         AND coalesce(bool_and(p.grant_id IS NOT NULL AND p.kind IS NOT NULL AND coalesce(p.amount > 0, false)), true)
                           AS readable
                    FROM (SELECT CASE WHEN a ->> 'grant_id' ~ '^[0-9]{1,18}$' THEN (a ->> 'grant_id')::bigint END AS grant_id,
                                 a ->> 'kind' AS kind,
                                 CASE WHEN jsonb_typeof(a -> 'amount') = 'number' THEN (a -> 'amount')::numeric END AS amount
                            FROM jsonb_array_elements(
                                   CASE jsonb_typeof(l.allocations) WHEN 'array' THEN l.allocations ELSE '[]' END) AS a) AS p
         ) AS parts
   WHERE (asked IS NULL OR l.account_id = asked)
     AND (NOT parts.readable OR parts.total <> l.amount);
END
$$;
COMMENT ON FUNCTION purser._reconcile_entries(text) IS 'Internal. The rules of reconcile() on single ledger entries and their order.';

CREATE FUNCTION purser._reconcile_wallets(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT w.account_id || '/' || w.wallet, v.rule, v.message
    FROM purser.wallet AS w
    LEFT JOIN (SELECT l.account_id, l.wallet, max(l.entry_no) AS last_entry_no,
                      sum(CASE l.direction WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) AS balance
                 FROM purser.ledger AS l
                WHERE asked IS NULL OR l.account_id = asked
                GROUP BY l.account_id, l.wallet) AS entries
      ON entries.account_id = w.account_id AND entries.wallet = w.wallet
    LEFT JOIN (SELECT g.account_id, g.wallet, max(g.grant_id) AS last_grant_id
                 FROM purser.credit_grant AS g
                WHERE asked IS NULL OR g.account_id = asked
                GROUP BY g.account_id, g.wallet) AS made
      ON made.account_id = w.account_id AND made.wallet = w.wallet
   CROSS JOIN LATERAL (SELECT coalesce(sum(lot.remaining_micros), 0) + coalesce(sum(lot.held_micros), 0) AS micros
                         FROM purser._lots AS lot
                        WHERE lot.account_id = w.account_id AND lot.wallet = w.wallet) AS lots
   CROSS JOIN LATERAL (
     SELECT 'balance_mismatch', format('the wallet has %s, its entries sum to %s',
                                       trim_scale(w.balance_micros / 1000000.0), coalesce(entries.balance, 0))
      WHERE w.balance_micros <> coalesce(entries.balance, 0) * 1000000
     UNION ALL
     SELECT 'lots_mismatch', format('the lots hold %s, the balance is %s', trim_scale(lots.micros / 1000000.0),
                                    trim_scale(w.balance_micros / 1000000.0))
      WHERE lots.micros <> w.balance_micros
     UNION ALL
     SELECT 'head_mismatch', format('the wallet ends with entry %s, the ledger with entry %s', w.last_entry_no,
                                    coalesce(entries.last_entry_no, 0))
      WHERE w.last_entry_no <> coalesce(entries.last_entry_no, 0)
     UNION ALL
     SELECT 'grants_mismatch', format('the wallet has made %s grants, the last on record is %s', w.last_grant_id,
                                      coalesce(made.last_grant_id, 0))
      WHERE w.last_grant_id <> coalesce(made.last_grant_id, 0)
   ) AS v (rule, message)
   WHERE asked IS NULL OR w.account_id = asked;

  -- Lots, each beside the one before it.
  RETURN QUERY
  SELECT format('%s/%s/grant %s', lot.account_id, lot.wallet, lot.grant_id), v.rule, v.message
    FROM (SELECT l.account_id, l.wallet, l.grant_id, l.kind, l.priority, l.expires_at, l.remaining_micros, l.held_micros,
                 lag((l.priority, l.expires_at, l.grant_id)) OVER (PARTITION BY l.account_id, l.wallet ORDER BY l.place) AS before,
                 row_number() OVER (PARTITION BY l.account_id, l.wallet, l.grant_id ORDER BY l.place) AS copy
            FROM purser._lots AS l
           WHERE asked IS NULL OR l.account_id = asked) AS lot
    LEFT JOIN purser.credit_grant AS g
      ON g.account_id = lot.account_id AND g.wallet = lot.wallet AND g.grant_id = lot.grant_id
   CROSS JOIN LATERAL (
     SELECT 'lot_negative', format('remaining is %s, held is %s', trim_scale(lot.remaining_micros / 1000000.0),
                                   trim_scale(lot.held_micros / 1000000.0))
      WHERE NOT coalesce(lot.remaining_micros >= 0 AND lot.held_micros >= 0, false)
     UNION ALL
     SELECT 'lots_out_of_order', 'a lot before it is to be debited after it'
      WHERE lot.before > (lot.priority, lot.expires_at, lot.grant_id)
     UNION ALL
     SELECT 'lot_duplicate', 'the wallet has the lot more than once' WHERE lot.copy > 1
     UNION ALL
     SELECT 'lot_without_grant', 'the wallet has a lot of a grant that is not on record' WHERE g.grant_id IS NULL
     UNION ALL
     SELECT 'lot_differs', 'kind, priority or expiry are not those of its grant'
      WHERE (lot.kind, lot.priority, lot.expires_at) <> (g.kind, g.priority, g.expires_at)
   ) AS v (rule, message);
END
$$;
COMMENT ON FUNCTION purser._reconcile_wallets(text) IS 'Internal. The rules of reconcile() on wallets and the lots in them.';

CREATE FUNCTION purser._reconcile_grants(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT format('%s/%s/grant %s', g.account_id, g.wallet, g.grant_id), v.rule, v.message
    FROM (SELECT account_id, wallet, grant_id, r.amount AS granted, r.entry_no AS made_by, m.taken, m.given, m.first_taken, m.made,
                 trim_scale(coalesce(lot.micros, 0) / 1000000.0) AS in_wallet, r.kind AS kind, m.kinds
            FROM purser.credit_grant AS r
            FULL JOIN (SELECT a.account_id, a.wallet, a.grant_id,
                              coalesce(sum(a.amount) FILTER (WHERE a.direction = 'DEBIT'), 0) AS taken,
                              coalesce(sum(a.amount) FILTER (WHERE a.direction = 'CREDIT'), 0) AS given,
                              min(a.entry_no) FILTER (WHERE a.direction = 'DEBIT') AS first_taken,
                              -- What the entry that began it gave; entries are numbered in the order of writing.
                              min(ARRAY[a.entry_no, a.amount]) FILTER (WHERE a.direction = 'CREDIT') AS made,
                              min(a.kind) || CASE WHEN min(a.kind) <> max(a.kind) THEN ', ' || max(a.kind) ELSE '' END AS kinds
                         FROM purser._allocations AS a
                        WHERE (asked IS NULL OR a.account_id = asked)
                          AND a.grant_id IS NOT NULL AND a.amount IS NOT NULL
                        GROUP BY a.account_id, a.wallet, a.grant_id) AS m USING (account_id, wallet, grant_id)
            LEFT JOIN (SELECT o.account_id, o.wallet, o.grant_id, sum(o.remaining_micros) + sum(o.held_micros) AS micros
                         FROM purser._lots AS o
                        WHERE asked IS NULL OR o.account_id = asked
                        GROUP BY o.account_id, o.wallet, o.grant_id) AS lot USING (account_id, wallet, grant_id)
           WHERE asked IS NULL OR account_id = asked) AS g
   CROSS JOIN LATERAL (
     SELECT 'grant_missing', 'entries name a grant that is not on record' WHERE g.granted IS NULL
     UNION ALL
     SELECT 'grant_mismatch', format('the record says %s of kind %s by entry %s, the entries say %s of kind %s by entry %s', g.granted,
                                     g.kind, g.made_by, coalesce(g.made[2], 0), coalesce(g.kinds, 'none'), coalesce(g.made[1], 0))
      WHERE g.granted IS NOT NULL
        AND (g.granted, g.made_by, g.kind) IS DISTINCT FROM (g.made[2], g.made[1], g.kinds)
     UNION ALL
     SELECT 'grant_overdrawn', format('%s was taken from it, it was given %s', g.taken, g.given)
      WHERE g.taken > g.given OR g.given - g.taken > g.granted
     UNION ALL
     SELECT 'grant_used_early', format('entry %s takes from it, entry %s made it', g.first_taken, g.made_by)
      WHERE g.first_taken <= g.made_by
     UNION ALL
     SELECT 'lot_mismatch', format('the wallet holds %s of it, its entries leave %s', g.in_wallet, g.given - g.taken)
      WHERE g.in_wallet <> g.given - g.taken
   ) AS v (rule, message);
END
$$;
COMMENT ON FUNCTION purser._reconcile_grants(text) IS 'Internal. The rules of reconcile() on grants against the entries that name them.';

CREATE FUNCTION purser._reconcile_refunds(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT format('%s/%s/%s', r.account_id, r.wallet, r.entry_no), v.rule, v.message
    FROM purser.ledger AS r
    LEFT JOIN purser.ledger AS c ON c.account_id = r.account_id AND c.wallet = r.wallet AND c.entry_no = r.refund_of
   CROSS JOIN LATERAL (
     SELECT 'refund_not_of_charge', CASE WHEN c.entry_no IS NULL THEN format('there is no entry %s', r.refund_of)
                                         WHEN r.direction <> 'CREDIT' THEN 'it is a debit itself'
                                         WHEN c.refund_of IS NOT NULL THEN format('entry %s is a refund itself', r.refund_of)
                                         ELSE format('entry %s is no charge', r.refund_of) END
      WHERE c.entry_no IS NULL OR r.direction <> 'CREDIT' OR c.direction <> 'DEBIT' OR c.correlation_id IS NULL
     UNION ALL
     SELECT 'refund_of_other_resource', format('entry %s charged another resource', r.refund_of)
      WHERE (r.resource_type, r.resource_id) IS DISTINCT FROM (c.resource_type, c.resource_id) AND c.entry_no IS NOT NULL
   ) AS v (rule, message)
   WHERE r.refund_of IS NOT NULL
     AND (asked IS NULL OR r.account_id = asked);

  RETURN QUERY
  SELECT format('%s/%s/%s', c.account_id, c.wallet, c.entry_no), 'refund_exceeds_charge',
         format('%s was charged, %s given back', c.amount, r.amount)
    FROM (SELECT l.account_id, l.wallet, l.refund_of, sum(l.amount) AS amount
            FROM purser.ledger AS l
           WHERE l.refund_of IS NOT NULL
             AND (asked IS NULL OR l.account_id = asked)
           GROUP BY l.account_id, l.wallet, l.refund_of) AS r
    JOIN purser.ledger AS c ON c.account_id = r.account_id AND c.wallet = r.wallet AND c.entry_no = r.refund_of
   WHERE r.amount > c.amount;

  -- To the very grants of the charge, or to one made for a grant that was lost meanwhile.
  RETURN QUERY
  SELECT format('%s/%s/%s', r.account_id, r.wallet, r.refund_of), 'refund_to_other_grant',
         format('grant %s bore %s of the charge and was given back %s', r.grant_id, coalesce(c.amount, 0), r.amount)
    FROM (SELECT a.account_id, a.wallet, a.refund_of, a.grant_id, sum(a.amount) AS amount
            FROM purser._allocations AS a
            LEFT JOIN purser.credit_grant AS g
              ON g.account_id = a.account_id AND g.wallet = a.wallet AND g.grant_id = a.grant_id AND g.entry_no = a.entry_no
           WHERE a.refund_of IS NOT NULL AND a.grant_id IS NOT NULL AND a.amount IS NOT NULL AND g.grant_id IS NULL
             AND (asked IS NULL OR a.account_id = asked)
           GROUP BY a.account_id, a.wallet, a.refund_of, a.grant_id) AS r
    LEFT JOIN LATERAL (SELECT sum(a.amount) AS amount
                         FROM purser._allocations AS a
                        WHERE a.account_id = r.account_id AND a.wallet = r.wallet AND a.entry_no = r.refund_of
                          AND a.grant_id = r.grant_id AND a.direction = 'DEBIT') AS c ON true
   WHERE r.amount > coalesce(c.amount, 0);
END
$$;
COMMENT ON FUNCTION purser._reconcile_refunds(text) IS 'Internal. The rules of reconcile() on refunds against their charges.';

CREATE FUNCTION purser._reconcile_holds(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  -- Holds against their captures.
  RETURN QUERY
  SELECT format('%s/%s/hold %s', h.account_id, h.wallet, h.hold_id), v.rule, v.message
    FROM purser.credit_hold AS h
    LEFT JOIN (SELECT l.account_id, l.hold_id, sum(l.amount) AS amount, count(*) FILTER (WHERE l.direction <> 'DEBIT') AS credits,
                      min(l.wallet) AS wallet, max(l.wallet) AS last_wallet
                 FROM purser.ledger AS l
                WHERE l.hold_id IS NOT NULL AND (asked IS NULL OR l.account_id = asked)
                GROUP BY l.account_id, l.hold_id) AS c ON c.account_id = h.account_id AND c.hold_id = h.hold_id
   CROSS JOIN LATERAL (SELECT coalesce(sum(p.amount), 0) AS held
                         FROM jsonb_to_recordset(h.parts) AS p (grant_id bigint, amount numeric)) AS parts
   CROSS JOIN LATERAL (
     SELECT 'hold_captured_mismatch', format('%s was captured, its entries sum to %s', h.captured, coalesce(c.amount, 0))
      WHERE h.captured <> coalesce(c.amount, 0) OR c.credits > 0 OR c.wallet <> h.wallet OR c.last_wallet <> h.wallet
     UNION ALL
     SELECT 'hold_parts_mismatch', format('%s of %s was captured, and %s is held', h.captured, h.amount, parts.held)
      WHERE h.state = 'open' AND parts.held <> h.amount - h.captured
   ) AS v (rule, message)
   WHERE asked IS NULL OR h.account_id = asked;

  RETURN QUERY
  SELECT format('%s/%s/%s', l.account_id, l.wallet, l.entry_no), 'capture_without_hold', format('there is no hold "%s"', l.hold_id)
    FROM purser.ledger AS l
   WHERE l.hold_id IS NOT NULL AND (asked IS NULL OR l.account_id = asked)
     AND NOT EXISTS (SELECT FROM purser.credit_hold AS h WHERE h.account_id = l.account_id AND h.hold_id = l.hold_id);

  -- What was captured and what is still held of a grant, against what the hold took from it.
  RETURN QUERY
  SELECT format('%s/%s/hold %s', account_id, wallet, hold_id), 'hold_of_other_grant',
         format('the hold took %s from grant %s, %s of it is captured or held', coalesce(sum(b.taken), 0), b.grant_id, sum(b.used))
    FROM (SELECT h.account_id, h.wallet, h.hold_id, p.grant_id, p.amount AS taken, 0 AS used
            FROM purser.credit_hold AS h, jsonb_to_recordset(h.allocations) AS p (grant_id bigint, amount numeric)
          UNION ALL
          SELECT h.account_id, h.wallet, h.hold_id, p.grant_id, 0, p.amount
            FROM purser.credit_hold AS h, jsonb_to_recordset(h.parts) AS p (grant_id bigint, amount numeric)
          UNION ALL
          SELECT l.account_id, l.wallet, l.hold_id, a.grant_id, 0, a.amount
            FROM purser.ledger AS l
            JOIN purser._allocations AS a ON a.account_id = l.account_id AND a.wallet = l.wallet AND a.entry_no = l.entry_no
           WHERE l.hold_id IS NOT NULL AND a.amount IS NOT NULL) AS b
   WHERE asked IS NULL OR account_id = asked
   GROUP BY account_id, wallet, hold_id, b.grant_id
  HAVING sum(b.used) > sum(b.taken);

  -- Lots against the holds that hold of them, expired ones included until their wallet is next changed.
  RETURN QUERY
  SELECT format('%s/%s/grant %s', account_id, wallet, grant_id), 'held_mismatch',
         format('%s is held, the open holds have %s', trim_scale(coalesce(lot.micros, 0) / 1000000.0), coalesce(open.amount, 0))
    FROM (SELECT o.account_id, o.wallet, o.grant_id, sum(o.held_micros) AS micros
            FROM purser._lots AS o
           WHERE asked IS NULL OR o.account_id = asked
           GROUP BY o.account_id, o.wallet, o.grant_id) AS lot
    FULL JOIN (SELECT h.account_id, h.wallet, p.grant_id, sum(p.amount) AS amount
                 FROM purser.credit_hold AS h, jsonb_to_recordset(h.parts) AS p (grant_id bigint, amount numeric)
                WHERE h.state = 'open' AND (asked IS NULL OR h.account_id = asked)
                GROUP BY h.account_id, h.wallet, p.grant_id) AS open USING (account_id, wallet, grant_id)
   WHERE coalesce(lot.micros, 0) <> coalesce(open.amount, 0) * 1000000;

  RETURN QUERY
  SELECT w.account_id || '/' || w.wallet, 'holds_until_mismatch',
         format('the next hold expires at %s, the wallet says %s', coalesce(h.expires_at, 'infinity'), w.holds_until)
    FROM purser.wallet AS w
    LEFT JOIN (SELECT o.account_id, o.wallet, min(o.expires_at) AS expires_at
                 FROM purser.credit_hold AS o
                WHERE o.state = 'open'
                GROUP BY o.account_id, o.wallet) AS h ON h.account_id = w.account_id AND h.wallet = w.wallet
   WHERE (asked IS NULL OR w.account_id = asked) AND w.holds_until <> coalesce(h.expires_at, 'infinity');
END
$$;
COMMENT ON FUNCTION purser._reconcile_holds(text) IS 'Internal. The rules of reconcile() on holds of credits.';

CREATE FUNCTION purser._reconcile_quotas(asked text) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT format('%s/%s', account_id, feature), v.rule, v.message
    FROM (SELECT u.account_id, u.feature, sum(u.used) AS past
            FROM purser.usage_period AS u
           WHERE asked IS NULL OR u.account_id = asked
           GROUP BY u.account_id, u.feature) AS u
    FULL JOIN (SELECT h.account_id, h.feature, sum(h.amount) AS held
                 FROM purser.quota_hold AS h
                WHERE h.state = 'open'
                  AND (asked IS NULL OR h.account_id = asked)
                GROUP BY h.account_id, h.feature) AS h USING (account_id, feature)
    FULL JOIN (SELECT s.account_id, s.feature, count(*) AS stripes, sum(s.used) AS striped, min(s.available) AS available
                 FROM purser.entitlement_stripe AS s
                WHERE asked IS NULL OR s.account_id = asked
                GROUP BY s.account_id, s.feature) AS s USING (account_id, feature)
    FULL JOIN (SELECT e.account_id, e.feature, e.used, e.held AS kept, e.lifetime, e.stripes AS said
                 FROM purser.entitlement AS e
                WHERE asked IS NULL OR e.account_id = asked) AS e
              USING (account_id, feature)
   CROSS JOIN LATERAL (
     SELECT 'entitlement_missing', 'there are periods, holds or stripes of a count that is not there' WHERE said IS NULL
     UNION ALL
     SELECT 'lifetime_mismatch', format('the lifetime count is %s, the periods sum to %s', lifetime, used + coalesce(past, 0))
      WHERE lifetime <> used + coalesce(past, 0)
     UNION ALL
     SELECT 'quota_held_mismatch', format('%s is held, the open holds sum to %s', kept, coalesce(held, 0))
      WHERE kept <> coalesce(held, 0)
     UNION ALL
     SELECT 'stripes_mismatch', format('the count has %s stripes, there are %s', said, coalesce(stripes, 0))
      WHERE said <> coalesce(stripes, 0)
     UNION ALL
     SELECT 'stripe_overdrawn', format('a stripe has %s to give', available) WHERE available < 0
   ) AS v (rule, message);
END
$$;
COMMENT ON FUNCTION purser._reconcile_quotas(text) IS 'Internal. The rules of reconcile() on counters.';

CREATE FUNCTION purser.reconcile(account_id text DEFAULT NULL) RETURNS SETOF purser.violation
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $$
BEGIN
  IF reconcile.account_id IS NOT NULL THEN
    PERFORM purser._checked_id(reconcile.account_id, 'account_id');
  END IF;
  RETURN QUERY SELECT * FROM purser._reconcile_rows(reconcile.account_id);
  RETURN QUERY SELECT * FROM purser._reconcile_wallets(reconcile.account_id);
  RETURN QUERY SELECT * FROM purser._reconcile_entries(reconcile.account_id);
  RETURN QUERY SELECT * FROM purser._reconcile_grants(reconcile.account_id);
  RETURN QUERY SELECT * FROM purser._reconcile_refunds(reconcile.account_id);
  RETURN QUERY SELECT * FROM purser._reconcile_holds(reconcile.account_id);
  RETURN QUERY SELECT * FROM purser._reconcile_quotas(reconcile.account_id);
END
$$;
COMMENT ON FUNCTION purser.reconcile(text) IS
  'Proves the books and the counters of one account, or of all, and names each violation of each rule. Rows: account_missing, wallet_missing, status_mismatch. Wallets: balance_mismatch, lots_mismatch, head_mismatch, grants_mismatch, lot_negative, lots_out_of_order, lot_duplicate, lot_without_grant, lot_differs. Entries: entry_missing, direction_unknown, amount_invalid, balance_negative, entry_balance_mismatch, allocations_mismatch, allocations_unreadable. Grants: grant_missing, grant_mismatch, grant_overdrawn, grant_used_early, lot_mismatch. Refunds: refund_not_of_charge, refund_of_other_resource, refund_exceeds_charge, refund_to_other_grant. Holds: hold_captured_mismatch, hold_parts_mismatch, hold_of_other_grant, capture_without_hold, held_mismatch, holds_until_mismatch. Counters: entitlement_missing, lifetime_mismatch, quota_held_mismatch, stripes_mismatch, stripe_overdrawn. No row means all of them hold, in one snapshot. Locks nothing and blocks nobody. It does not recompute hashes: an edit that keeps every sum is for verify_ledger().';
