// A long history for slow readers, while others talk: each hears all of it, once, in its order.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connected, everybodyLeaves, fresh, guest, isTertulia, Line, person, plain, until, URLS, WAYS } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';

// Socket.IO's own server says all of it at once, which is too much for python-socketio: it reads sixteen packets in a poll, and waits
// a second for the answer that stands before them.
const HISTORY = isTertulia ? 10_000 : 1000;
const PYTHONS = isTertulia ? [['websocket'], ['polling']] : [['websocket']];
const END = 'the end';

after(everybodyLeaves);

/** A reader whose line carries some, then nothing for a while, and so on until it is told that this is the end. */
async function slowly(come) {
  const line = guest(await Line.to(new URL(URLS[0])));
  const one = come(line.url);
  const reads = (async () => {
    while (!one.isDone()) {
      const before = one.count();
      await until(`more than ${before} is heard`, () => one.isDone() || one.count() >= before + (before < HISTORY ? 300 : 1));
      line.hush();
      await pause(20); // slow, but not dead
      line.speak();
    }
  })().catch((error) => {
    throw new Error(`${error.message}; heard: ${one.count()}`);
  });
  reads.catch(() => {}); // it is waited for below
  return { ...one, reads };
}

const js = (room, options) => slowly((url) => {
  const one = person(url, 'Ana', room, options);
  return { ...one, count: () => one.heard.length, isDone: () => one.heard.at(-1)?.[0] === END };
});

const py = (room, transports) => slowly((url) => {
  const one = program(PYTHON, path('reader.py'), url, JSON.stringify({ transports, auth: { username: 'Py', room, serverOffset: 0 } }));
  const said = () => one.lines.map((line) => JSON.parse(line));
  return { ...one, said, count: () => said().at(-1)?.[0] ?? 0, isDone: () => said().some(([, word]) => word === END) };
});

test(`${HISTORY} messages reach slow readers whole while more pour in`, async () => {
  const room = fresh();
  const writer = plain(URLS[1], { auth: { username: 'Ben', room, serverOffset: 0 }, ...WAYS.WebSocket });
  await connected(writer);
  const said = [];
  const say = (text) => {
    said.push(text);
    return new Promise((resolve) => writer.socket.emit('chat message', text, `key-${said.length}`, resolve));
  };
  for (let i = 0; i < HISTORY; i += 1000) {
    await Promise.all(Array.from({ length: 1000 }, (_, j) => say(`number ${i + j} ${'x'.repeat(300)}`)));
  }

  const readers = await Promise.all(Object.values(WAYS).map((options) => js(room, options)));
  const pythons = await Promise.all(PYTHONS.map((transports) => py(room, transports)));
  const all = [...readers, ...pythons];
  let pouring = true;
  const pours = (async () => {
    for (let i = 0; pouring; i += 1) {
      await say(`while they read ${i}`);
      await pause(5);
    }
  })();
  const least = () => Math.min(...all.map(({ count }) => count()));
  while (least() < HISTORY) {
    const before = least();
    await Promise.race([until(`the last reader hears more than ${before}`, () => least() > before), ...all.map(({ reads }) => reads)]);
  }
  pouring = false;
  await pours;
  assert.ok(said.length > HISTORY + 10, 'others talked');
  await say(END);
  await Promise.all(all.map(({ reads }) => reads));

  const whole = said.map((text, i) => [text, String(i + 1), 'Ben']);
  for (const { heard, reasons } of readers) {
    assert.equal(heard.length, whole.length);
    assert.deepEqual(heard, whole);
    assert.deepEqual(reasons, []);
  }
  const digest = createHash('sha256').update(whole.map(([text, offset]) => `${offset} ${text}\n`).join('')).digest('hex');
  for (const python of pythons) {
    const words = python.said().filter(([, word]) => word !== 'so far');
    assert.deepEqual(words, [[whole.length, digest], [whole.length, END]]);
  }
});
