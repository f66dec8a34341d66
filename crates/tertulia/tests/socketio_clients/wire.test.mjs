// Engine.IO 4 and Socket.IO 5 as their protocol documents say, by hand.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { everybodyLeaves, fresh, isTertulia, until, URLS } from './people.mjs';
import { ask, poller, SEPARATOR, socket } from './wire.mjs';

afterEach(everybodyLeaves);

const connect = (room, namespace = '') => `40${namespace}${JSON.stringify({ username: 'Ana', room, serverOffset: 0 })}`;

/** Connected to a room of its own. */
async function entered() {
  const ws = socket();
  await ws.packet('0');
  ws.send(connect(fresh()));
  await ws.packet('40');
  return ws;
}

describe('opening', () => {
  test('by polling, with what a client must know', async () => {
    const { first, open } = await poller();
    assert.equal(first[0], '0');
    assert.deepEqual(Object.keys(open).sort(), ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades']);
    assert.deepEqual(open.upgrades, ['websocket']);
    assert.deepEqual([open.pingInterval, open.pingTimeout], [25_000, 20_000]);
  });

  test('by WebSocket, with nothing to upgrade to', async () => {
    const open = JSON.parse((await socket().packet('0')).slice(1));
    assert.deepEqual(open.upgrades, []);
    assert.deepEqual([open.pingInterval, open.pingTimeout], [25_000, 20_000]);
  });

  for (const [what, params, options] of [
    ['no protocol number', new URLSearchParams({ transport: 'polling' })],
    ['a number that is none', { EIO: 'abc' }],
    ['no transport', new URLSearchParams({ EIO: '4' })],
    ['a transport that is none', { transport: 'abc' }],
    ['POST', {}, { method: 'POST' }],
    ['PUT', {}, { method: 'PUT' }],
    ['a session that is not there', { sid: 'AAAAAAAAAAAAAAAAAAAA' }],
    ['a session that cannot be', { sid: 'x/../y' }],
    ['words for a session that is not there', { sid: 'AAAAAAAAAAAAAAAAAAAA' }, { method: 'POST', body: '4' }],
  ]) {
    test(`${what} is refused with 400`, async () => {
      const answer = await ask(params, options);
      assert.equal(answer.status, 400);
      assert.notEqual(await answer.text(), '', 'and says why');
    });
  }

  for (const params of [{ EIO: 'abc' }, { transport: 'abc' }, { sid: 'AAAAAAAAAAAAAAAAAAAA' }]) {
    test(`a WebSocket with ${JSON.stringify(params)} is not kept`, () => socket(params).closes());
  }
});

describe('polling', () => {
  test('several packets go up in one request and come down in order', async () => {
    const session = await poller();
    assert.deepEqual(await session.post(connect(fresh())), [200, 'ok']);
    await session.pollFor('40');
    const events = [1, 2, 3].map((i) => `42${i}["chat message","text ${i}","key ${i}"]`);
    assert.deepEqual(await session.post(events.join(SEPARATOR)), [200, 'ok']);
    const down = [];
    while (down.filter((packet) => packet.startsWith('43')).length < 3) down.push(...(await session.pollFor('4')));
    assert.deepEqual(down.filter((packet) => packet.startsWith('43')).sort(), ['431[]', '432[]', '433[]']);
    const heard = () => down.filter((packet) => packet.startsWith('42["chat message"')).map((packet) => JSON.parse(packet.slice(2))[1]);
    while (heard().length < 3) down.push(...(await session.pollFor('42')));
    assert.deepEqual(heard(), ['text 1', 'text 2', 'text 3']);
  });

  test('a packet that is none ends the session', async () => {
    const session = await poller();
    await session.post('abc').catch(() => {}); // some hang up instead of answering
    assert.equal((await session.poll())[0], 400);
  });

  test('two polls at once end the session', async () => {
    const session = await poller();
    await session.post(connect(fresh()));
    const { hanging } = await session.hang();
    const answers = [await session.poll(), await hanging];
    // One of them is told to close, and the other that it is too many.
    assert.ok(answers.some(([status]) => status === 400 || status === 500), JSON.stringify(answers));
    assert.equal((await session.poll())[0], 400);
  });

  test('a poll that hangs is let go when the client closes', async () => {
    const session = await poller();
    await session.post(connect(fresh()));
    const { hanging } = await session.hang();
    await session.post('1');
    assert.equal((await hanging)[0], 200);
    assert.equal((await session.poll())[0], 400);
  });

  test('a poll that the client gives up ends the session', async () => {
    const session = await poller();
    await session.post(connect(fresh()));
    const given = new AbortController();
    const { hanging } = await session.hang(given.signal);
    given.abort();
    await hanging.catch(() => {});
    await until('the session is over', async () => (await session.post('3'))[0] === 400);
  });

  test('more than the limit is refused', async () => {
    const session = await poller();
    const [status] = await session.post(`4${'x'.repeat(session.open.maxPayload)}`);
    assert.equal(status, 413);
  });
});

describe('the upgrade', () => {
  const probed = async (session) => {
    const ws = socket({ sid: session.sid });
    await until('it is open', ws.isOpen);
    ws.send('2probe');
    assert.equal(await ws.packet('3'), '3probe');
    return ws;
  };

  test('lets the hanging poll go, and carries on', async () => {
    const session = await poller();
    await session.post(connect(fresh()));
    await session.pollFor('40');
    await session.post('42["chat message","by polling","a"]');
    const heard = await session.pollFor('42["chat message"');
    const hanging = session.poll();
    const ws = await probed(session);
    const [status, body] = await hanging;
    assert.equal(status, 200);
    assert.ok(body.split(SEPARATOR).includes('6') || body.startsWith('4'), body);
    ws.send('5');
    ws.send('427["chat message","by WebSocket","b"]');
    assert.equal(await ws.packet('43'), '437[]');
    await ws.packet('42["chat message","by WebSocket","2","Ana"]');
    const before = [...heard, ...body.split(SEPARATOR)].filter((packet) => packet.includes('by polling'));
    assert.deepEqual(before, ['42["chat message","by polling","1","Ana"]']);
    assert.equal((await session.poll())[0], 400, 'the old way is closed');
    assert.ok(ws.isOpen());
    await socket({ sid: session.sid }).closes();
    assert.ok(ws.isOpen(), 'a second WebSocket does not take the place of the first');
  });

  test('that is never finished loses nothing: polling goes on, and may try again', async () => {
    const session = await poller();
    await session.post(connect(fresh()));
    await session.pollFor('40');
    for (let i = 1; i <= 2; i += 1) {
      const ws = await probed(session);
      ws.close();
      await ws.closes();
      assert.equal((await session.post(`42${i}["chat message","text ${i}","key ${i}"]`))[0], 200);
      await session.pollFor(`43${i}[]`);
      // Until there is something to say, nothing is said.
      const { hanging } = await session.hang();
      assert.equal((await session.post(`429${i}["chat message","more ${i}","more ${i}"]`))[0], 200);
      assert.equal((await hanging)[0], 200);
    }
    const hanging = session.poll();
    const ws = await probed(session);
    await hanging;
    ws.send('5');
    ws.send('427["chat message","by WebSocket","b"]');
    assert.equal(await ws.packet('43'), '437[]');
  });

  test('that does not begin as it should is not taken', async () => {
    for (const wrong of ['40', 'x', '2pr', '']) {
      const session = await poller();
      await session.post(connect(fresh()));
      await session.pollFor('40');
      const ws = socket({ sid: session.sid });
      await until('it is open', ws.isOpen);
      ws.send(wrong);
      await ws.closes();
      assert.equal((await session.post('421["chat message","text","key"]'))[0], 200, wrong);
      await session.pollFor('431[]');
    }
  });
});

describe('Socket.IO', () => {
  test('a namespace answers with the id of the session in it, at once', async () => {
    const ws = socket();
    const open = JSON.parse((await ws.packet('0')).slice(1));
    ws.send(connect(fresh()));
    const { sid } = JSON.parse((await ws.packet('40')).slice(2));
    assert.ok(sid && sid !== open.sid);
    assert.ok(ws.heard.filter((packet) => packet !== '2')[1].startsWith('40'), 'nothing comes before it');
  });

  test('a namespace without anything is entered too', async () => {
    const ws = socket();
    await ws.packet('0');
    ws.send('40');
    await ws.packet('40{"sid":');
  });

  test('a namespace that is not there is refused, and the connection stays', async () => {
    const ws = socket();
    await ws.packet('0');
    ws.send('40/nowhere,');
    assert.equal(await ws.packet('44/nowhere,'), '44/nowhere,{"message":"Invalid namespace"}');
    ws.send(connect(fresh()));
    await ws.packet('40');
  });

  test('an acknowledgement is the empty array, and comes once', async () => {
    const ws = await entered();
    ws.send('420["chat message","one","key"]');
    assert.equal(await ws.packet('43'), '430[]');
    ws.send('42123["chat message","one","key"]');
    assert.equal(await ws.packet('43123'), '43123[]');
    ws.send('42["chat message","two","other"]');
    await ws.packet('42["chat message","two","2","Ana"]');
    assert.equal(ws.heard.filter((packet) => packet.startsWith('43')).length, 2);
  });

  test('an event without a key may ask for an acknowledgement too', async () => {
    const ws = await entered();
    ws.send('4212["chat message","one"]');
    assert.equal(await ws.packet('43'), '4312[]');
    await ws.packet('42["chat message","one","1","Ana"]');
  });

  test('bytes in an event are taken in, whatever becomes of them', async () => {
    const ws = await entered();
    ws.send('451-["whatever",{"_placeholder":true,"num":0}]');
    ws.send(Buffer.from([1, 2, 3]));
    ws.send('428["chat message","text","key"]');
    assert.equal(await ws.packet('43'), '438[]');
  });

  test('who leaves the namespace hears nothing more of it', async () => {
    const ws = await entered();
    ws.send('41');
    ws.send('421["chat message","nobody hears this","key"]');
    // Either the connection goes too or it stays; what was said is not taken.
    const other = await entered();
    other.send('420["chat message","one","key"]');
    await other.packet('43');
    assert.ok(!ws.heard.some((packet) => packet.startsWith('43')));
  });

  for (const wrong of ['4abc', '42{}', '42[]', '42["chat message"', '4', '49', 'abc', '42["chat message","no namespace was entered"]']) {
    test(`${wrong} before any namespace ends the connection`, async () => {
      const ws = socket();
      await ws.packet('0');
      ws.send(wrong);
      await ws.closes();
    });
  }

  for (const wrong of ['4abc', '49', '42{}', '42abc["chat message","text","key"]', 'abc']) {
    test(`${wrong} in a namespace ends the connection`, async () => {
      const ws = await entered();
      ws.send(wrong);
      await ws.closes();
    });
  }
});

describe('only Tertulia', { skip: !isTertulia && 'Socket.IO has one address' }, () => {
  test('a session of another node is not there, and the operator sees it', async () => {
    const foreign = async () => {
      const metrics = await (await fetch(`${URLS[1]}/metrics`)).text();
      return Number(/^tertulia_socketio_foreign_sids_total (\d+)/m.exec(metrics)?.[1] ?? 0);
    };
    const { sid } = await poller();
    const before = await foreign();
    const answer = await fetch(`${URLS[1]}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
    assert.equal(answer.status, 400);
    assert.deepEqual(await answer.json(), { code: 1, message: 'Session ID unknown' });
    assert.ok((await foreign()) > before);
  });

  test('the other addresses answer, and the native protocol keeps its own', async () => {
    for (const path of ['/ws/socket.io/', '/ws/', '/ws']) {
      const answer = await ask({}, {}, path);
      assert.equal(answer.status, 200, path);
      await socket({}, path).packet('0');
    }
    const ws = socket();
    await ws.packet('0');
    ws.send(connect(fresh(), '/ws,'));
    await ws.packet('40/ws,{"sid":');
    ws.send('42/ws,5["chat message","one","key"]');
    assert.equal(await ws.packet('43'), '43/ws,5[]');
  });
});
