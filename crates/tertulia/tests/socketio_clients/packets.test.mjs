// What unchanged clients do besides talking: buffers, volatile words, bytes, crowds, too much at once.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { Stage } from '../../../../web/tests/stage.mjs';
import { connected, everybodyLeaves, fresh, guest, hears, isTertulia, Line, numbers, person, required, texts, until, URLS, WAYS } from './people.mjs';

afterEach(everybodyLeaves);

for (const [way, options] of Object.entries(WAYS)) {
  describe(way, () => {
    test('what is volatile arrives while the line is up, and what is said in a gap goes out at the return', async () => {
      const room = fresh();
      const line = guest(await Line.to(new URL(URLS[0])));
      const ana = person(line.url, 'Ana', room, { ...options, retries: 0 });
      await connected(ana);
      // By polling there is a moment after each request in which nothing volatile goes.
      await until('it is heard', () => {
        if (ana.heard.length === 0) ana.socket.volatile.emit('chat message', 'fleeting', 'key');
        return ana.heard.length > 0;
      });
      line.cut();
      await until('she is away', () => !ana.socket.connected);
      for (const text of numbers(20)) ana.socket.emit('chat message', text);
      line.mend();
      await hears(ana, 21);
      assert.deepEqual(texts(ana), ['fleeting', ...numbers(20)]);
    });

    test('bytes do no harm', async () => {
      const room = fresh();
      const ana = person(URLS[0], 'Ana', room, { ...options, retries: 0 });
      await connected(ana);
      ana.socket.emit('whatever', new Uint8Array([1, 2, 3]), { deep: [new Uint8Array(2000)] });
      if (isTertulia) {
        ana.socket.emit('chat message', Buffer.from('no text'), 'key', (late) => late ?? assert.fail('acknowledged'));
        await until('it is refused', () => ana.refused.length > 0);
      }
      await ana.say('text');
      await hears(ana, 1);
      assert.deepEqual(ana.heard, [['text', '1', 'Ana']]);
      assert.deepEqual(ana.reasons, []);
    });

    test('who leaves says so, and is not brought back', async () => {
      const ana = person(URLS[0], 'Ana', fresh(), options);
      await connected(ana);
      ana.close();
      assert.deepEqual(ana.reasons, ['io client disconnect']);
      assert.equal(ana.socket.active, false);
      ana.socket.connect();
      await connected(ana);
    });

    test('a packet beyond the limit ends the connection, and many small ones do not', async () => {
      const room = fresh();
      const ana = person(URLS[0], 'Ana', room, { ...options, retries: 0 });
      await connected(ana);
      if (options.transports.length > 1) await until('it is upgraded', () => ana.socket.io.engine.transport.name === 'websocket');
      const limit = ana.socket.io.engine._maxPayload;
      assert.ok(limit > 0, 'the open packet says how much is too much');
      const text = 'x'.repeat(2000);
      const many = Math.ceil((2 * limit) / text.length);
      for (let i = 0; i < many; i += 1) ana.socket.emit('chat message', text);
      await hears(ana, many);
      assert.deepEqual(ana.reasons, []);
      ana.socket.emit('whatever', 'x'.repeat(limit + 1));
      await until('she is gone', () => ana.reasons.length === 1);
      assert.match(ana.reasons[0], /^transport (close|error)$/);
      await connected(ana);
      await ana.say('back');
      await until('she is back', () => texts(ana).at(-1) === 'back');
      assert.equal(ana.heard.length, many + 1);
    });
  });
}

test('a thousand sockets hear the same', async () => {
  const rooms = Array.from({ length: 20 }, fresh);
  const people = [];
  while (people.length < 1000) {
    const some = Array.from({ length: 100 }, (_, i) => person(URLS[i % 3], `guest ${people.length + i}`, rooms[i % 20], WAYS.WebSocket));
    await connected(...some);
    people.push(...some);
  }
  const talkers = people.slice(0, 60);
  for (let i = 1; i <= 5; i += 1) await Promise.all(talkers.map((one) => one.say(`${i}`)));
  for (const one of people) await hears(one, 15);
  for (const [i, one] of people.entries()) assert.deepEqual(one.heard, people[i % 20].heard);
  assert.deepEqual(people.flatMap(({ reasons }) => reasons), []);
});

describe('pages of other origins', () => {
  let stage;
  const servers = [];
  const listens = async (port) => {
    const server = createServer((request, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html>'));
    servers.push(server);
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    return server.address().port;
  };
  before(async () => (stage = await Stage.open()));
  after(async () => {
    for (const server of servers) server.close();
    await stage.close();
  });

  /** What becomes of a client in a page of that port's origin. */
  const comes = async (port, options) => {
    const context = await stage.browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${port}`);
    await page.addScriptTag({ url: `${URLS[0]}/socket.io/socket.io.js` });
    const end = await page.evaluate(
      ([url, options]) =>
        new Promise((resolve) => {
          const socket = window.io(url, { reconnection: false, ...options });
          socket.on('connect', () => socket.emit('chat message', 'from a page', `${Math.random()}`, () => resolve('let in, and heard')));
          socket.on('connect_error', ({ message }) => resolve(message));
        }),
      [URLS[0], options],
    );
    await context.close();
    return end;
  };

  test('who is on the list may, with headers that browsers ask for first, and with cookies', async () => {
    const port = await listens(new URL(required('TERTULIA_OTHER_PAGES')).port);
    for (const options of [{}, { extraHeaders: { 'x-mine': 'yes' } }, { withCredentials: true }]) {
      for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']]) {
        assert.equal(await comes(port, { transports, ...options }), 'let in, and heard', JSON.stringify([transports, options]));
      }
    }
  });

  const transports = isTertulia ? ['polling', 'websocket'] : ['polling']; // Socket.IO lets any WebSocket in
  for (const transport of transports) {
    test(`a strange one is not let in by ${transport}`, async () => {
      const end = await comes(await listens(0), { transports: [transport] });
      assert.equal(end, { polling: 'xhr poll error', websocket: 'websocket error' }[transport]);
    });
  }
});
