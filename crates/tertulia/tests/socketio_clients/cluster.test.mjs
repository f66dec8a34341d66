// Every kind of client at once, native ones too, on three nodes behind the front door with its sticky cookie: one node is
// killed, another drained, and all of them return by themselves, miss nothing and see one order.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { Tertulia } from '../../../../web/tertulia.js';
import { Stage } from '../../../../web/tests/stage.mjs';
import { connected, everybodyLeaves, guest, LIBRARIES, numbers, person, plain, required, tutorial, until, URLS } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';

const door = required('TERTULIA_DOOR');
const pids = required('TERTULIA_PIDS').split(',').map(Number);
const ROOM = 'general';
const POLLING = { transports: ['polling'], withCredentials: true };
const UPGRADE = { withCredentials: true };
const [latest, old] = Object.values(LIBRARIES);

let stage;
before(async () => (stage = await Stage.open()));
after(async () => {
  await everybodyLeaves();
  await stage.close();
});

function native(name) {
  const chat = new Tertulia({ url: `${door.replace('http', 'ws')}/ws`, name, WebSocket });
  chat.connect();
  chat.join(ROOM, { limit: 100 });
  guest(chat);
  return chat;
}

/** Which node each client is on, as the node itself says. */
function placed(one) {
  one.nodes = [];
  one.socket.on('my-name-is', (node) => one.nodes.push(node));
  return one;
}

test('nodes go, people stay', async () => {
  const readers = {};
  for (const i of [1, 2, 3]) {
    readers[`websocket ${i}`] = placed(person(door, `websocket ${i}`, ROOM, { transports: ['websocket'] }));
    readers[`polling ${i}`] = placed(person(door, `polling ${i}`, ROOM, POLLING));
    readers[`upgrade ${i}`] = placed(person(door, `upgrade ${i}`, ROOM, UPGRADE));
    readers[`old ${i}`] = placed(person(door, `old ${i}`, ROOM, { library: old, transports: ['websocket'] }));
  }
  const talkers = [1, 2, 3].map((i) => {
    const one = plain(door, { library: latest, transports: ['websocket'], auth: { room: ROOM } });
    one.socket.on('connect', () => one.socket.emit('add user', `talker ${i}`));
    return one;
  });
  const natives = [1, 2, 3].map((i) => native(`native ${i}`));
  const python = program(PYTHON, path('../../../../examples/socketio-python/chat_message.py'), 'python', door);
  const page = await stage.page();
  await page.goto(door);
  await page.addScriptTag({ url: '/socket.io/socket.io.js' });
  const settings = { auth: { username: 'page', room: ROOM, serverOffset: 0 }, transports: ['polling'] };
  const inPage = await page.evaluateHandle(`(${tutorial})(io, '', ${JSON.stringify(settings)})`);

  const all = Object.values(readers);
  await connected(...all, ...talkers);
  const said = [];
  const say = (one, text) => {
    said.push(text);
    return one.say(text);
  };
  const everybodySays = (what) =>
    Promise.all([
      ...all.map((one, i) => say(one, `${what} of ${i}`)),
      ...natives.map((chat, i) => {
        said.push(`${what} of native ${i}`);
        return chat.send(ROOM, `${what} of native ${i}`);
      }),
    ]);
  const everybodyHears = async (what, text) => {
    await until(`all hear ${what}: ${all.map((one) => one.heard.length)}`, () => all.every((one) => one.heard.some(([heard]) => heard === text)));
    await until(`natives hear ${what}`, () => natives.every((chat) => chat.room(ROOM).messages.some((message) => message.text === text)));
    await python.prints(text, (line) => line.endsWith(text));
    await until(`the page hears ${what}`, () => inPage.evaluate((one, text) => one.heard.some(([heard]) => heard === text), text));
  };

  const [writer] = natives;
  const mark = async (text) => {
    said.push(text);
    writer.send(ROOM, text);
    await everybodyHears(text, text);
  };

  await everybodySays('the first word');
  await mark('all are here');
  const places = new Set(all.map(({ nodes }) => nodes[0]));
  assert.deepEqual([...places].sort(), ['n1', 'n2', 'n3'], 'the door spread them');

  // Polls go on and on, and each finds its session: nobody had to begin anew.
  for (const text of numbers(30)) await say(readers['polling 1'], text);
  await mark('thirty polls later');
  for (const one of all) assert.deepEqual(one.reasons, []);

  let pouring = true;
  const stream = (async () => {
    for (let i = 1; pouring; i += 1) await say(readers['websocket 1'], `while nodes go ${i}`);
  })();

  process.kill(pids[0], 'SIGKILL');
  await until('those of the dead node were somewhere else', () =>
    all.every((one) => one.nodes.at(-1) !== 'n1' && one.socket.connected));
  await mark('one is dead');

  process.kill(pids[1], 'SIGTERM');
  await until('the drained node let them go', () =>
    all.every((one) => one.nodes.at(-1) === 'n3' && one.socket.connected));
  await mark('one is drained');
  pouring = false;
  await stream;
  await everybodySays('the last word');
  await until('all was heard', () => all.every((one) => one.heard.length >= said.length));
  await mark('the end');

  for (const one of all) {
    for (const reason of one.reasons) assert.match(reason, /^transport (close|error)$/, 'nobody was told never to come back');
  }
  const order = writer.room(ROOM).messages.map(({ seq, text }) => [String(seq), text]);
  const known = order.slice(-100);
  const whole = readers['websocket 1'].heard;
  assert.deepEqual(whole.map(([text]) => text).sort(), [...said].sort(), 'everything was heard, once');
  assert.deepEqual(whole.map(([, offset]) => Number(offset)), Array.from({ length: said.length }, (_, i) => i + 1));
  for (const [name, one] of Object.entries(readers)) assert.deepEqual(one.heard, whole, name);
  assert.deepEqual(await inPage.evaluate((one) => one.heard), whole, 'the page');
  assert.deepEqual(python.lines, whole.map(([text, , from]) => `${from}: ${text}`), 'python');
  assert.deepEqual(whole.slice(-known.length).map(([text, offset]) => [offset, text]), known, 'natives');
  for (const talker of talkers) {
    assert.ok(talker.socket.connected);
    assert.equal(talker.of('new message').at(-1)[0].message, 'the end');
  }
  assert.equal(await fetch(`${URLS[2]}/readyz`).then(({ status }) => status), 200);
  await page.goto('about:blank');
});
