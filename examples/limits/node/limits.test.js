// Tests of limits.js: npm ci && npm test. Where PGHOST, PGPORT and PGDATABASE say, in a database made by
// ../setup.sql; the tests act as my_app, and look and set the clock as PGUSER, a superuser.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { after, beforeEach, test } from 'node:test';
import pg from 'pg';
import { addProject, answering, transcript } from './app.js';
import { Refused, count, held, inTransaction } from './limits.js';

const app = new pg.Pool({ user: 'my_app', max: 20 });
const superuser = new pg.Pool({ max: 1 });
let account;

beforeEach(() => { account = `customer-${randomUUID()}`; });
after(() => Promise.all([app.end(), superuser.end()]));

/** used, held and remaining, at another time if one is given */
async function check(feature, now = '') {
  await superuser.query("SELECT set_config('purser.now', $1, false)", [now]);
  const { rows } = await superuser.query('SELECT to_jsonb(d) AS d FROM purser.check_quota($1, $2) AS d', [account, feature]);
  return [rows[0].d.used, rows[0].d.held, rows[0].d.remaining];
}

const one = (feature, key) => inTransaction(app, (client) => count(client, account, feature, { key }));

test('counts up to the quota and then refuses', async () => {
  for (const used of [1, 2, 3]) assert.equal((await one('projects')).used, used);
  await assert.rejects(one('projects'), (error) => error instanceof Refused && error.status === 402
    && error.message === 'You have used 3 of 3 projects.' && error.body.upgrade_url === 'https://app.example/upgrade');
});

test('the count rolls back with the work', async () => {
  await assert.rejects(inTransaction(app, async (client) => {
    await count(client, account, 'projects');
    throw new Error('no project after all');
  }), /no project after all/);
  assert.deepEqual(await check('projects'), [0, 0, 3]);
});

test('a retry with a key counts once', async () => {
  for (let i = 0; i < 3; i++) assert.equal((await one('projects', 'request-1')).used, 1);
  assert.deepEqual(await check('projects'), [1, 0, 2]);
});

test('twenty connections drain a quota exactly', async () => {
  await superuser.query("SELECT purser.subscribe($1, 'pro', 'test')", [account]);
  const allowed = [];
  await Promise.all(Array.from({ length: 20 }, async () => {
    try {
      for (;;) allowed.push((await one('projects')).used);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }));
  assert.deepEqual(allowed.sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i + 1));
  assert.deepEqual(await check('projects'), [50, 0, 0]);
});

test('a hold counts what was used', async () => {
  const answer = await held(app, account, 'audio_minutes', { amount: 10 }, async (hold) => {
    assert.deepEqual(await check('audio_minutes'), [0, 10, 20]);
    hold.used = 7;
    return 'text';
  });
  assert.equal(answer, 'text');
  assert.deepEqual(await check('audio_minutes'), [7, 0, 23]);
});

test('an error gives all back', async () => {
  await assert.rejects(held(app, account, 'audio_minutes', { amount: 10 }, async () => {
    throw new Error('the model did not answer');
  }), /the model did not answer/);
  assert.deepEqual(await check('audio_minutes'), [0, 0, 30]);
});

test('refused before the work', async () => {
  await assert.rejects(held(app, account, 'exports', {}, () => assert.fail('the work must not begin')),
    (error) => error instanceof Refused && error.status === 403);
});

test('more than was held counts too', async () => {
  await held(app, account, 'audio_minutes', { amount: 20 }, async (hold) => { hold.used = 33; });
  assert.deepEqual(await check('audio_minutes'), [33, 0, 0]);
});

test('work that outlived its hold counts too', async () => {
  await held(app, account, 'audio_minutes', { amount: 5, ttl: '1 millisecond' }, () => superuser.query('SELECT pg_sleep(0.01)'));
  assert.deepEqual(await check('audio_minutes'), [5, 0, 25]);
});

test('an application counts its rows and its minutes', async () => {
  await superuser.query('CREATE TABLE IF NOT EXISTS project (owner_id text, title text)');
  await superuser.query('GRANT INSERT ON project TO my_app');
  for (const title of ['one', 'two', 'three']) await addProject(app, account, title);
  const answer = {};
  const response = { status(status) { answer.status = status; return this; }, json(body) { answer.body = body; } };
  await answering(response, () => addProject(app, account, 'four'));
  assert.deepEqual([answer.status, answer.body.detail], [402, 'You have used 3 of 3 projects.']);
  const { rows } = await superuser.query('SELECT count(*)::int AS n FROM project WHERE owner_id = $1', [account]);
  assert.equal(rows[0].n, 3);
  await answering(response, () => transcript(app, account, async (audio) => ({ text: `${audio}!`, seconds: 61.5 }), 'hello'));
  assert.deepEqual(answer, { status: 200, body: 'hello!' });
  assert.deepEqual(await check('audio_minutes'), [2, 0, 28]);
});

test('a killed worker leaves a hold that ends by itself', async () => {
  const worker = spawn(process.execPath, ['worker.js', account], { cwd: new URL('.', import.meta.url) });
  const ended = once(worker, 'exit');
  try {
    await once(worker.stdout, 'data');
  } finally {
    worker.kill('SIGKILL');
    await ended;
  }
  assert.deepEqual(await check('audio_minutes'), [0, 3, 27]);
  const { rows } = await superuser.query('SELECT expires_at::text FROM purser.quota_hold WHERE account_id = $1', [account]);
  assert.deepEqual(await check('audio_minutes', rows[0].expires_at), [0, 0, 30]);
});
