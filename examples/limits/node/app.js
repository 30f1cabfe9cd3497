// What an application does with limits.js; call these from your handlers.

import { Refused, count, held, inTransaction } from './limits.js';

/** The work is in the database: the row and its count, both or neither. */
export function addProject(pool, account, title) {
  return inTransaction(pool, async (client) => {
    await count(client, account, 'projects');
    await client.query('INSERT INTO project (owner_id, title) VALUES ($1, $2)', [account, title]);
  });
}

/** The work is outside: no transaction is open while it lasts. */
export function transcript(pool, account, transcribe, audio) {
  return held(pool, account, 'audio_minutes', { amount: 20 }, async (hold) => {
    const { text, seconds } = await transcribe(audio);
    hold.used = Math.ceil(seconds / 60);
    return text;
  });
}

/** One place for all limits: what a handler answers when one of them said no. */
export async function answering(response, work) {
  try {
    response.status(200).json(await work());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    response.status(error.status).json(error.body);
  }
}
