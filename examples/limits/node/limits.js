// Quotas of purser for an application on node-postgres.
//
// count()  for work inside the database: counts in your transaction, so both happen or neither.
// held()   for work outside of it, such as a call to a language model: holds before, settles after.

const HOLD_ENDED = 'PU006'; // the hold expired, or was settled otherwise

/** The quota said no. Nothing was counted. */
export class Refused extends Error {
  constructor(decision, status, body) {
    super(body.detail);
    Object.assign(this, { decision, status, body });
  }
}

// As JSON, because node-postgres gives a bigint as a string. The function stands in FROM: as SELECT (f()).* it
// would be called once for each column.
async function ask(db, call, args) {
  const { rows } = await db.query(
    `SELECT to_jsonb(d) AS decision, purser.http_status(d) AS status, purser.http_body(d) AS body
       FROM purser.${call} AS d`, args);
  return rows[0];
}

function allowedOrRefused({ decision, status, body }) {
  if (!decision.allowed) throw new Refused(decision, status, body);
  return decision;
}

/** Runs work(client) in a transaction. */
export async function inTransaction(pool, work) {
  const client = await pool.connect();
  let broken;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure) => { broken = failure; });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Counts in the transaction of client, or throws Refused. With a key, a retry counts once. */
export async function count(client, account, feature, { amount = 1, key = null } = {}) {
  return allowedOrRefused(await ask(client, 'check_and_increment($1, $2, $3, $4)', [account, feature, amount, key]));
}

/**
 * Holds quota, awaits work(hold), then counts hold.used; when work throws, all is given back.
 * Hold and settlement are committed each by itself, on any connection of the pool. A process that dies in between
 * does neither: the hold then ends after ttl.
 */
export async function held(pool, account, feature, { amount = 1, ttl = '15 minutes' }, work) {
  const { hold_id: id } = allowedOrRefused(await ask(pool, 'hold_quota($1, $2, $3, $4)', [account, feature, amount, ttl]));
  const hold = { id, account, feature, amount, used: amount };
  let result;
  try {
    result = await work(hold);
  } catch (error) {
    // Should this fail too, the first error says more, and the hold ends by itself.
    await ask(pool, 'release_quota($1, $2)', [account, id]).catch(() => {});
    throw error;
  }
  await settle(pool, hold);
  return result;
}

// The work is done, so it counts in any case: also when it took longer, or more, than was held.
async function settle(pool, { id, account, feature, amount, used }) {
  let notCounted = 0;
  try {
    const { decision } = await ask(pool, 'commit_quota($1, $2, $3)', [account, id, used]);
    if (!decision.allowed) {
      await ask(pool, 'commit_quota($1, $2)', [account, id]);
      notCounted = used - amount;
    }
  } catch (error) {
    if (error.code !== HOLD_ENDED) throw error;
    notCounted = used;
  }
  if (notCounted > 0) {
    await ask(pool, 'record_usage($1, $2, $3, $4)', [account, feature, notCounted, `beyond ${id}`]);
  }
}
