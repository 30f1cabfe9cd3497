// Holds three audio minutes, says so, and works for ever: for a test to kill between hold and settle.

import pg from 'pg';
import { held } from './limits.js';

const pool = new pg.Pool({ user: 'my_app' });
await held(pool, process.argv[2], 'audio_minutes', { amount: 3 }, () => new Promise(() => {
  console.log('holding');
  setInterval(() => {}, 1000);
}));
