// Hearts beat every 25 s, and who is silent 20 s longer is gone. All of these wait at the same time.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connected, everybodyLeaves, fresh, guest, hears, LIBRARIES, Line, person, plain, texts, until, URLS, WAYS } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';
import { poller, SEPARATOR, socket } from './wire.mjs';

after(everybodyLeaves);

describe('hearts', { concurrency: true }, () => {
  test('a WebSocket that answers stays, one that does not is closed', async () => {
    const [lively, dead] = [socket(), socket()];
    await Promise.all([lively, dead].map((one) => one.packet('0')));
    const pongs = setInterval(() => lively.answersPings(), 100);
    for (const one of [lively, dead]) one.send('40');
    await Promise.all([dead.closes(50_000), pause(48_000)]);
    clearInterval(pongs);
    assert.ok(dead.heard.includes('2'), 'it was asked');
    assert.ok(lively.heard.includes('2'));
    assert.ok(lively.isOpen());
  });

  test('polling is asked too, and ends for who does not answer', async () => {
    const [lively, dead] = await Promise.all([poller(), poller()]);
    for (const one of [lively, dead]) await one.post('40');
    const end = Date.now() + 48_000;
    const polls = async (one, answer) => {
      for (;;) {
        const [status, body] = await one.poll();
        if (status !== 200 || Date.now() > end) return status;
        if (answer && body.split(SEPARATOR).includes('2')) await one.post('3');
      }
    };
    const [kept, ended] = await Promise.all([polls(lively, true), polls(dead, false)]);
    assert.deepEqual([kept, ended], [200, 400]);
  });

  test('who enters no namespace is shown out', async () => {
    const ws = socket();
    await ws.packet('0');
    const pongs = setInterval(() => ws.answersPings(), 100);
    await ws.closes(60_000);
    clearInterval(pongs);
  });

  for (const [way, options] of Object.entries(WAYS)) {
    test(`who hears nothing for as long leaves by itself, and returns, by ${way}`, async () => {
      const line = guest(await Line.to(new URL(URLS[0])));
      const ana = person(line.url, 'Ana', fresh(), options);
      await connected(ana);
      await ana.say('before');
      if (options.transports.length > 1) await until('it is upgraded', () => ana.socket.io.engine.transport.name === 'websocket');
      line.hush();
      for (const end = Date.now() + 55_000; ana.reasons.length === 0 && Date.now() < end; ) await pause(50);
      assert.deepEqual(ana.reasons, ['ping timeout']);
      line.cut();
      line.mend();
      await ana.say('after');
      await hears(ana, 2);
      assert.deepEqual(texts(ana), ['before', 'after']);
    });
  }

  test('unchanged clients who have nothing to say stay', async () => {
    const people = Object.values(WAYS).map((options) => person(URLS[0], 'Ana', fresh(), options));
    await connected(...people);
    await pause(46_000);
    for (const one of people) {
      assert.deepEqual(one.reasons, []);
      await one.say('still here');
    }
  });

  test('and so do those who are counted', async () => {
    const room = fresh();
    const people = Object.values(LIBRARIES).flatMap((library) =>
      Object.values(WAYS).map((options, i) => {
        const one = plain(URLS[i], { library, auth: { room }, ...options });
        one.reasons = [];
        one.socket.on('disconnect', (reason) => one.reasons.push(reason));
        one.socket.emit('add user', `person ${i}`);
        return one;
      }));
    const pythons = ['sync', 'asyncio'].flatMap((kind) =>
      [['websocket'], ['polling']].map((transports) =>
        program(PYTHON, path('hola.py'), kind, URLS[0], JSON.stringify({ transports, auth: { room }, user: `${kind} ${transports}` }))));
    await until('all are counted', () =>
      people.every((one) => one.of('login').length === 1) && pythons.every(({ lines }) => lines.some((line) => line.startsWith('["login"'))));
    await pause(30_000);
    for (const one of people) assert.deepEqual([one.reasons, one.of('user left')], [[], []]);
    for (const { lines } of pythons) assert.ok(!lines.some((line) => line.startsWith('["disconnected"')), `${lines}`);
  });
});
