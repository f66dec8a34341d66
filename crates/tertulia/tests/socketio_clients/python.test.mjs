// python-socketio, unchanged, by each of its clients and ways, and to each address that people give it.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { connected, everybodyLeaves, fresh, isTertulia, Line, plain, until, URLS } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';

afterEach(everybodyLeaves);

const HOLA = 'Hola desde el cliente';
const KINDS = ['sync', 'asyncio'];
const run = (kind, url, options = {}) => program(PYTHON, path('hola.py'), kind, url, JSON.stringify(options));
const line = (...words) => (printed) => printed === JSON.stringify(words).replace(/","/g, '", "');
const prints = (one, ...words) => one.prints(JSON.stringify(words), line(...words));

async function talks(kind, url, options, transport) {
  const room = fresh();
  const auth = { username: 'Ana', room };
  const [ana, ben] = [run(kind, url, { auth, ...options }), plain(URLS[1], { auth: { username: 'Ben', room } })];
  await connected(ben);
  await prints(ana, 'connected', transport);
  await prints(ana, 'message', HOLA);
  await until('he hears it', () => ben.heard.flat().includes(HOLA));
  ben.socket.send('hola desde el servidor');
  await prints(ana, 'message', 'hola desde el servidor');
  return ana;
}

for (const kind of KINDS) {
  describe(kind, () => {
    for (const [transports, ends] of [[['websocket'], 'websocket'], [['polling'], 'polling'], [undefined, 'websocket']]) {
      test(`by ${transports ?? 'its own choice'}`, async () => talks(kind, URLS[0], { transports }, ends));
    }
  });
}

test('a returning client greets again', async () => {
  for (const kind of KINDS) {
    const cut = await Line.to(new URL(URLS[0]));
    const ana = await talks(kind, cut.url, { transports: ['websocket'] }, 'websocket');
    cut.cut();
    await prints(ana, 'disconnected', 'transport error');
    cut.mend();
    await until('she is back', () => ana.lines.filter(line('connected', 'websocket')).length === 2);
    await until('and heard', () => ana.lines.filter(line('message', HOLA)).length >= 2);
    cut.close();
  }
});

describe('addresses', { skip: !isTertulia && 'Socket.IO answers at one address' }, () => {
  const ws = URLS[0].replace('http', 'ws');
  const addresses = {
    'a path in the URL, which it drops': [`${URLS[0]}/ws`, {}],
    'ws: and a path': [`${ws}/ws`, { transports: ['websocket'] }],
    'the path that others keep': [URLS[0], { socketio_path: '/ws/socket.io' }],
    '/ws itself': [URLS[0], { socketio_path: '/ws' }],
    'the namespace /ws': [URLS[0], { namespaces: ['/ws'] }],
  };
  for (const [what, [url, options]] of Object.entries(addresses)) {
    for (const kind of KINDS) {
      test(`${what}, ${kind}`, async () => {
        await talks(kind, url, options, 'websocket');
      });
    }
  }

  test('and the addresses of JavaScript', async () => {
    const room = fresh();
    const auth = { username: 'Ana', room };
    const doors = [[`${URLS[0]}/ws`, {}], [URLS[1], { path: '/ws/socket.io/' }], [URLS[2], { path: '/ws/' }]];
    const people = doors.flatMap(([url, options]) =>
      [['websocket'], ['polling']].map((transports) => plain(url, { auth, transports, ...options })));
    await connected(...people);
    for (const [i, one] of people.entries()) {
      one.socket.send(`from ${i}`);
      for (const each of people) await until(`${i} is heard`, () => each.heard.some((event) => event.includes(`from ${i}`)));
    }
    assert.equal(people.length, 6);
  });
});
