// The clients of Socket.IO's tutorial, in each of its steps, by every library and way.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import oldest from 'socket.io-client-2';
import { Stage } from '../../../../web/tests/stage.mjs';
import { connected, everybodyLeaves, fresh, guest, hears, isTertulia, LIBRARIES, Line, numbers, person, plain, texts, tutorial, until, URLS, WAYS } from './people.mjs';

const [url, , other] = URLS;
const lineTo = async () => {
  const line = await Line.to(new URL(url));
  guest(line);
  return line;
};

afterEach(everybodyLeaves);

for (const [name, library] of Object.entries(LIBRARIES)) {
  // With `retries`, which 4.3.2 has never heard of, an acknowledgement begins with the place of an error.
  const nothing = name.endsWith('4.8') ? [null] : [];
  for (const [way, options] of Object.entries(WAYS)) {
    describe(`${name} by ${way}`, () => {
      const come = (name, room, more) => person(url, name, room, { library, ...options, ...more });

      test('the basic client: no key, no offset, no name', async () => {
        const [ana, ben] = [plain(url, { library, ...options }), plain(other, { library, ...options })];
        await connected(ana, ben);
        const text = `hello ${fresh()}`;
        ana.socket.emit('chat message', text);
        for (const one of [ana, ben]) {
          await until('it is heard', () => one.of('chat message').some(([said]) => said === text));
          assert.equal(one.of('chat message').filter(([said]) => said === text).length, 1);
        }
      });

      test('what one says is acknowledged with nothing, and reaches everybody with its number and its author', async () => {
        const room = fresh();
        const [ana, ben] = [come('Ana', room), person(other, 'Ben', room, { library, ...options })];
        await connected(ana, ben);
        assert.deepEqual(await ana.say('one'), nothing);
        assert.deepEqual(await ben.say('two'), nothing);
        for (const one of [ana, ben]) {
          await hears(one, 2);
          assert.deepEqual(one.heard, [['one', '1', 'Ana'], ['two', '2', 'Ben']]);
        }
      });

      test('who was cut off gets what was missed, before anything live, once', async () => {
        const room = fresh();
        const line = await lineTo();
        const ana = person(line.url, 'Ana', room, { library, ...options });
        const ben = come('Ben', room);
        await connected(ana, ben);
        await ben.say('number 1');
        await hears(ana, 1);
        line.cut();
        await until('she is away', () => !ana.socket.connected);
        for (const text of numbers(30, 2)) await ben.say(text);
        line.mend();
        // Some are said just while she returns.
        const pouring = Promise.all(numbers(40, 32).map((text) => ben.say(text)));
        await hears(ana, 71);
        await pouring;
        await ben.say('the end');
        await hears(ana, 72);
        assert.deepEqual(texts(ana), [...numbers(71), 'the end']);
        assert.deepEqual(ana.heard.map(([, offset]) => offset), Array.from({ length: 72 }, (_, i) => String(i + 1)));
      });

      test('the same key from the same person makes no second message; from another it is another', async () => {
        const room = fresh();
        const [ana, ben] = [come('Ana', room), come('Ben', room)];
        await connected(ana, ben);
        for (const one of [ana, ana, ben]) assert.deepEqual(await one.say('same', 'key-1'), nothing);
        await ana.say('the end');
        for (const one of [ana, ben]) {
          await hears(one, 3);
          assert.deepEqual(one.heard, [['same', '1', 'Ana'], ['same', '2', 'Ben'], ['the end', '3', 'Ana']]);
        }
      });

      test('offsets may be numbers or words', async () => {
        const room = fresh();
        const ana = come('Ana', room);
        await connected(ana);
        for (const text of numbers(3)) await ana.say(text);
        const late = [0, '0', 2, '2'].map((serverOffset) => come('Late', room, { auth: { serverOffset } }));
        const nowhere = come('Late', room, { auth: {} });
        await connected(...late, nowhere);
        await ana.say('number 4');
        for (const [i, count] of [4, 4, 2, 2].entries()) {
          await hears(late[i], count);
          assert.deepEqual(texts(late[i]), numbers(count, 5 - count));
        }
        await hears(nowhere, 4);
        assert.deepEqual(texts(nowhere), numbers(4));
      });
    });
  }
}

for (const [way, options] of Object.entries(WAYS)) {
  describe(`trying again by ${way}`, () => {
    test('an acknowledgement that is lost with the connection costs nothing', async () => {
      const room = fresh();
      const line = await lineTo();
      const ana = person(line.url, 'Ana', room, options);
      const ben = person(url, 'Ben', room, options);
      await connected(ana, ben);
      await ana.say('before');
      line.hush();
      const said = ana.say('once');
      await hears(ben, 2);
      line.cut();
      await until('she is away', () => !ana.socket.connected);
      const later = ana.say('and in order');
      line.mend();
      assert.deepEqual(await said, [null]);
      assert.deepEqual(await later, [null]);
      for (const one of [ana, ben]) {
        await hears(one, 3);
        assert.deepEqual(texts(one), ['before', 'once', 'and in order']);
      }
    });

    test('an acknowledgement that is late makes no second message', async () => {
      const room = fresh();
      const line = await lineTo();
      const ana = person(line.url, 'Ana', room, { ...options, ackTimeout: 300 });
      const ben = person(url, 'Ben', room, options);
      await connected(ana, ben);
      await ana.say('before');
      if (way === 'polling and the upgrade') await until('it is upgraded', () => ana.socket.io.engine.transport.name === 'websocket');
      let tries = 0;
      ana.socket.onAnyOutgoing(() => (tries += 1));
      line.hush();
      const said = ana.say('once');
      await until('it was tried again', () => tries >= 2);
      line.speak();
      assert.deepEqual(await said, [null]);
      await ben.say('the end');
      for (const one of [ana, ben]) {
        await hears(one, 3);
        assert.deepEqual(texts(one), ['before', 'once', 'the end']);
      }
    });
  });
}

test('nothing is lost or reordered while the transport changes', async () => {
  const room = fresh();
  const ben = person(url, 'Ben', room, WAYS.WebSocket);
  await connected(ben);
  const pouring = Promise.all(numbers(300).map((text) => ben.say(text)));
  const people = Array.from({ length: 10 }, (_, i) => person(URLS[i % 3], `Ana ${i}`, room));
  const own = people.map(async (one, i) => {
    for (const text of numbers(5)) await one.say(`${i}: ${text}`);
  });
  await Promise.all([pouring, ...own]);
  for (const one of people) {
    await hears(one, 350);
    assert.deepEqual(one.heard.map(([, offset]) => Number(offset)), Array.from({ length: 350 }, (_, i) => i + 1));
    await until('it is upgraded', () => one.socket.io.engine.transport.name === 'websocket');
  }
  assert.deepEqual(texts(people[0]).filter((text) => text.startsWith('number')), numbers(300));
  for (const i of people.keys()) assert.deepEqual(texts(people[9]).filter((text) => text.startsWith(`${i}:`)), numbers(5).map((text) => `${i}: ${text}`));
});

test('what was said before the connection is there goes out in its order', async () => {
  const room = fresh();
  const line = await lineTo();
  line.cut();
  const ana = person(line.url, 'Ana', room);
  const said = numbers(20).map((text) => ana.say(text));
  line.mend();
  await Promise.all(said);
  await hears(ana, 20);
  assert.deepEqual(texts(ana), numbers(20));
});

test('a client of Socket.IO 2 talks too, with a query for what it cannot say otherwise', { skip: !isTertulia && 'Socket.IO 4 refuses it unless told otherwise' }, async () => {
  for (const options of Object.values(WAYS)) {
    const room = fresh();
    const ben = person(other, 'Ben', room);
    const socket = oldest(url, { ...options, query: { username: 'Ana', room }, forceNew: true });
    const ana = guest({ socket, heard: [], close: () => socket.close() });
    socket.on('chat message', (...args) => ana.heard.push(args));
    await connected(ben, ana);
    const answer = await new Promise((resolve) => ana.socket.emit('chat message', 'from long ago', 'key', (...args) => resolve(args)));
    assert.deepEqual(answer, []);
    await ben.say('well met');
    for (const one of [ana, ben]) {
      await hears(one, 2);
      assert.deepEqual(one.heard, [['from long ago', '1', 'Ana'], ['well met', '2', 'Ben']]);
    }
  }
});

describe('in Chromium, with the bundle that the server has', () => {
  let stage;
  before(async () => (stage = await Stage.open()));
  after(() => stage?.close());
  afterEach(() => stage.clear());

  for (const [way, options] of Object.entries(WAYS)) {
    test(`a page talks, is cut off and returns, by ${way}`, async () => {
      const room = fresh();
      const line = await lineTo();
      const page = await stage.page();
      await page.goto(line.url);
      await page.addScriptTag({ url: '/socket.io/socket.io.js' });
      const settings = JSON.stringify({ auth: { username: 'Ana', room, serverOffset: 0 }, ...options });
      const ana = await page.evaluateHandle(`(${tutorial})(io, '', ${settings})`);
      const ask = (question) => ana.evaluate(question);
      const ben = person(other, 'Ben', room, options);
      await connected(ben);
      assert.deepEqual(await ask((one) => one.say('from the page')), [null]);
      await hears(ben, 1);
      line.cut();
      await until('the page is away', () => ask((one) => !one.socket.connected));
      for (const text of numbers(10)) await ben.say(text);
      line.mend();
      await until('the page is back', () => ask((one) => one.heard.length >= 11));
      await ben.say('the end');
      await until('the page hears it', () => ask((one) => one.heard.at(-1)[0] === 'the end'));
      const heard = await ask((one) => one.heard);
      assert.deepEqual(heard.map(([text]) => text), ['from the page', ...numbers(10), 'the end']);
      assert.deepEqual(heard[0], ['from the page', '1', 'Ana']);
      assert.deepEqual(await ask((one) => one.reasons), [way === 'polling' ? 'transport error' : 'transport close']);
      const upgraded = options.transports.at(-1);
      await until(`it is on ${upgraded}`, async () => (await ask((one) => one.socket.io.engine.transport.name)) === upgraded);
    });
  }
});
