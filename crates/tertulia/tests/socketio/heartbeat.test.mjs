// Hearts beat every 25 s, and who is silent 20 s longer is gone. All of these wait at the same time.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { everybodyLeaves, fresh, person, connected, WAYS, URLS } from './people.mjs';
import { poller, socket } from './wire.mjs';

after(everybodyLeaves);
const since = (begin) => (Date.now() - begin) / 1000;

describe('hearts', { concurrency: true }, () => {
  test('a WebSocket that answers stays, one that does not is closed', async () => {
    const [lively, dead] = [socket(), socket()];
    await Promise.all([lively.packet('0'), dead.packet('0')]);
    const begin = Date.now();
    lively.send('40');
    dead.send('40');
    await pause(20_000);
    await Promise.all([lively, dead].map((one) => one.packet('2')));
    assert.ok(since(begin) > 23 && since(begin) < 28, `a ping after ${since(begin)} s`);
    lively.send('3');
    await pause(15_000);
    await dead.closes();
    assert.ok(since(begin) > 43 && since(begin) < 50, `closed after ${since(begin)} s`);
    assert.ok(lively.isOpen());
  });

  test('polling is asked too, and ends for who does not answer', async () => {
    const [lively, dead] = await Promise.all([poller(), poller()]);
    for (const one of [lively, dead]) await one.post('40');
    await Promise.all([lively, dead].map((one) => one.pollFor('2')));
    await lively.post('3');
    const [hanging] = await Promise.all([lively.poll(), pause(21_000)]);
    assert.equal(hanging[0], 200);
    assert.equal((await dead.poll())[0], 400);
  });

  test('who enters no namespace is shown out', async () => {
    const ws = socket();
    await ws.packet('0');
    const begin = Date.now();
    await pause(25_000);
    await ws.packet('2');
    ws.send('3');
    await ws.closes();
    assert.ok(since(begin) < 50);
  });

  test('unchanged clients who have nothing to say stay', async () => {
    const people = Object.values(WAYS).map((options) => person(URLS[0], 'Ana', fresh(), options));
    await connected(...people);
    await pause(46_000);
    for (const one of people) {
      assert.deepEqual(one.reasons, []);
      await one.say('still here');
    }
  });
});
