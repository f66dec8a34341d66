// Whose key is revoked is put out, and none of the libraries comes back with it by itself: not even once.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { afterEach, test } from 'node:test';
import { connected, everybodyLeaves, LIBRARIES, person, required, until, URLS, WAYS } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';

afterEach(everybodyLeaves);

const token = required('TERTULIA_TOKEN');
const [command, ...args] = JSON.parse(required('TERTULIA_REVOKE'));

test('nobody comes back by what has ended, and everybody is told so', async () => {
  const people = [];
  for (const library of Object.values(LIBRARIES)) {
    for (const way of Object.values(WAYS)) {
      const options = { library, auth: { token, serverOffset: 0 }, ...way };
      people.push(person(URLS[people.length % URLS.length], 'whatever', 'r', options));
    }
  }
  const programs = ['sync', 'asyncio'].flatMap((kind) =>
    ['websocket', 'polling'].map((way) => {
      const options = { transports: [way], auth: { token } };
      return program(PYTHON, path('hola.py'), kind, URLS[0], JSON.stringify(options));
    }),
  );
  await connected(...people);
  for (const one of programs) await one.prints('connected', (line) => line.startsWith('["connected"'));
  let returns = 0;
  for (const { socket } of people) {
    socket.io.on('reconnect_attempt', () => (returns += 1));
    socket.on('connect', () => (returns += 1));
  }

  execFileSync(command, args);
  await until('all are out', () => people.every(({ socket }) => !socket.connected));
  for (const { reasons, refused, socket } of people) {
    assert.deepEqual([reasons, refused.map(({ code }) => code)], [['io server disconnect'], ['unauthorized']]);
    assert.equal(socket.active, false, 'it does not mean to come back');
  }
  for (const one of programs) {
    await one.prints('disconnected', (line) => line === '["disconnected", "server disconnect"]');
    // It has nothing left to wait for.
    assert.deepEqual(await one.ends(), [0, '']);
    assert.equal(one.lines.filter((line) => line.startsWith('["connected"')).length, 1);
  }
  assert.equal(returns, 0);

  // Who tries all the same is told why not, and does not insist.
  const [{ socket }] = people;
  const told = new Promise((resolve) => socket.once('connect_error', resolve));
  socket.connect();
  assert.equal((await told).data.code, 'unauthorized');
  assert.equal(socket.active, false);
});
