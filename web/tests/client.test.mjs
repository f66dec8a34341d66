// The client module against a node made of paper: the test plays the node frame by frame and moves the clock by hand.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Tertulia } from '../tertulia.js';

let sockets;

/** A socket whose other end is the test. */
class PaperSocket {
  readyState = 0;
  sent = [];

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  // ---- the node's side ----

  opens() {
    this.readyState = 1;
    this.onopen({});
  }

  says(...frames) {
    for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
  }

  breaks() {
    this.readyState = 3;
    this.onclose({ code: 1006 });
  }

  /** The frames of a kind that arrived since the last look. */
  heard(type) {
    const frames = this.sent.filter((frame) => frame.type === type);
    this.sent = this.sent.filter((frame) => frame.type !== type);
    return frames;
  }

  hearsOne(type) {
    const frames = this.heard(type);
    assert.equal(frames.length, 1, `one ${type}, not ${JSON.stringify(frames)}`);
    return frames[0];
  }

  welcomes(name = 'ana') {
    this.opens();
    const hello = this.hearsOne('hello');
    this.says({ type: 'welcome', user: { id: `u-${name}`, name }, token: `g1.${name}`, node: 'n1', limits: { text_bytes: 16384 } });
    return hello;
  }

  joins(answer = {}) {
    const join = this.hearsOne('join');
    this.says({ type: 'joined', ref: join.ref, room: join.room, epoch: 'e1', head: 0, reset: false, more: false, members: 1, messages: [], ...answer });
    return join;
  }
}

class Shelf {
  #kept = new Map();
  get length() {
    return this.#kept.size;
  }
  key(i) {
    return [...this.#kept.keys()][i];
  }
  getItem(key) {
    return this.#kept.get(key) ?? null;
  }
  setItem(key, value) {
    this.#kept.set(key, value);
  }
  removeItem(key) {
    this.#kept.delete(key);
  }
}

const message = (seq, more = {}) => ({
  type: 'message', room: 'general', seq, rev: seq, id: `id-${seq}`, from: { id: 'u-ben', name: 'ben' }, text: `text ${seq}`, at: '2026-01-01T00:00:00Z', ...more,
});
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));
const seqs = (room) => room.messages.map((m) => m.seq);

let clients;

function client(more = {}) {
  const chat = new Tertulia({ url: 'ws://node/ws', name: 'ana', WebSocket: PaperSocket, random: () => 0.5, ...more });
  clients.push(chat);
  return chat.connect();
}

function events(chat, type) {
  const seen = [];
  chat.addEventListener(type, ({ detail }) => seen.push(structuredClone(detail)));
  return seen;
}

const last = () => sockets.at(-1);

/** A client in `general` that holds messages 1 to `head`. */
function settled(head = 3, more = {}) {
  const chat = client(more);
  const room = chat.join('general');
  last().welcomes();
  last().joins({ head, messages: range(1, head) });
  return { chat, room };
}

function comesBack(answer) {
  mock.timers.tick(60_000);
  last().welcomes();
  return last().joins(answer);
}

beforeEach(() => {
  sockets = [];
  clients = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
});

afterEach(() => {
  for (const chat of clients) chat.close();
  mock.timers.reset();
});

test('it says hello, keeps the token and joins with the recent tail', () => {
  const { chat, room } = settled();
  assert.equal(last().protocol, 'tertulia.v1');
  assert.equal(chat.token, 'g1.ana');
  assert.deepEqual(seqs(room), [1, 2, 3]);
  assert.equal(room.position, 3);
  last().breaks();
  mock.timers.tick(1000);
  last().opens();
  assert.deepEqual(last().hearsOne('hello'), { type: 'hello', token: 'g1.ana' });
});

test('a refused token is dropped and the name is used; without a name the page is asked', () => {
  const chat = client({ token: 'g1.old' });
  last().opens();
  assert.equal(last().hearsOne('hello').token, 'g1.old');
  last().says({ type: 'error', code: 'unauthorized', detail: 'not ours' });
  assert.equal(last().hearsOne('hello').name, 'ana');
  last().says({ type: 'error', code: 'invalid_name', detail: 'no' });
  assert.equal(chat.state, 'refused');
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 1, 'it does not insist');
});

test('whose session has ended does not come back by itself, nor as a guest of the same name', () => {
  const chat = client({ token: 'ts_1' });
  last().opens();
  assert.equal(last().hearsOne('hello').token, 'ts_1');
  last().says({ type: 'welcome', user: { id: 'u-ana', name: 'ana' }, node: 'n1', limits: {} });
  assert.equal(chat.token, 'ts_1', 'a welcome without a token takes none away');
  const states = events(chat, 'state');
  last().says({ type: 'bye', reason: 'unauthorized' });
  assert.deepEqual(states.map(({ state, error }) => [state, error?.code]), [['refused', 'unauthorized']]);
  last().breaks();
  chat.nudge();
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 1, 'it does not come back');
  chat.connect();
  last().opens();
  assert.equal(last().hearsOne('hello').token, 'ts_1');
  last().says({ type: 'error', code: 'unauthorized', detail: 'it holds no longer' });
  assert.deepEqual(last().heard('hello'), [], 'not as somebody else');
  assert.equal(chat.state, 'refused');
});

test('who is known by the cookie need not say hello, and may', () => {
  const silent = client({ name: undefined });
  const rooms = [silent.join('general')];
  last().opens();
  assert.deepEqual(last().heard('hello'), []);
  const welcome = { type: 'welcome', user: { id: 'u-ana', name: 'ana' }, node: 'n1', limits: {} };
  last().says(welcome);
  last().joins();
  assert.ok(rooms[0].live);

  const polite = client();
  const states = events(polite, 'state');
  polite.join('general');
  last().opens();
  last().hearsOne('hello');
  last().says(welcome, welcome);
  assert.equal(last().heard('join').length, 1, 'a second welcome asks for nothing twice');
  assert.deepEqual(states.map(({ state }) => state), ['open']);
});

test('it returns with its position and takes exactly what it missed, page by page, before anything live', () => {
  const { room } = settled(3);
  last().says(message(4), message(4), message(5));
  assert.equal(room.position, 5);
  last().breaks();
  const first = comesBack({ head: 105, more: true, messages: range(6, 105) });
  assert.deepEqual([first.after, first.epoch], [5, 'e1']);
  last().says(message(108)); // not due before the last page: it is not to be trusted
  assert.equal(room.live, false);
  const second = last().joins({ head: 107, messages: range(106, 107) });
  assert.equal(second.after, 105);
  last().says(message(107), message(108));
  assert.deepEqual(seqs(room), range(1, 108).map((m) => m.seq));
});

test('a loss between two pages resumes from the page that was taken', () => {
  const { room } = settled(3);
  last().breaks();
  comesBack({ head: 50, more: true, messages: range(4, 50) });
  last().breaks();
  assert.equal(comesBack({ head: 52, messages: range(51, 52) }).after, 50);
  assert.deepEqual(seqs(room), range(1, 52).map((m) => m.seq));
});

test('numbers that edits took leave no hole behind', () => {
  const { room } = settled(3);
  last().says(message(2, { rev: 4, text: 'changed' }), message(5));
  assert.deepEqual(seqs(room), [1, 2, 3, 5]);
  assert.equal(room.get(2).text, 'changed');
  last().breaks();
  comesBack({ head: 9, messages: [message(6), message(1, { rev: 8, text: '', deleted: true })] });
  assert.deepEqual(seqs(room), [1, 2, 3, 5, 6]);
  assert.equal(room.get(1).deleted, true);
  assert.equal(room.position, 9);
});

test('an older version never replaces a newer one', () => {
  const { room } = settled(3);
  last().says(message(2, { rev: 6, text: 'new' }), message(2, { rev: 5, text: 'old' }));
  assert.equal(room.get(2).text, 'new');
});

test('a reset forgets the room and starts from what the node gives', () => {
  const { chat, room } = settled(3);
  const resets = events(chat, 'reset');
  last().breaks();
  comesBack({ epoch: 'e2', head: 2, reset: true, messages: [message(1, { id: 'other' }), message(2, { id: 'another' })] });
  assert.equal(resets.length, 1);
  assert.deepEqual(room.messages.map((m) => m.id), ['other', 'another']);
  assert.deepEqual([room.epoch, room.position], ['e2', 2]);
});

test('a reset that begins with pages is asked again for the tail', () => {
  const { room } = settled(3);
  last().breaks();
  comesBack({ epoch: 'e2', head: 100, reset: true, more: true, messages: range(1, 100) });
  assert.equal('after' in last().joins({ epoch: 'e2', head: 500, messages: range(451, 500) }), false);
  assert.equal(room.low, 451);
});

test('a change to an old message that is not held is ignored, but advances the position', () => {
  const chat = client();
  const room = chat.join('general');
  last().welcomes();
  last().joins({ head: 100, messages: range(51, 100) });
  last().says(message(7, { rev: 101, text: 'changed' }));
  assert.equal(room.get(7), undefined);
  assert.equal(room.position, 101);
});

test('history is put before, and a change that overtakes it wins', async () => {
  const chat = client();
  const room = chat.join('general');
  last().welcomes();
  last().joins({ head: 100, messages: range(51, 100) });
  const done = chat.older('general');
  assert.equal(chat.older('general'), done);
  const asked = last().hearsOne('history');
  assert.equal(asked.before, 51);
  last().says(message(7, { rev: 101, text: 'changed' }));
  last().says({ type: 'history', ref: asked.ref, room: 'general', more: false, messages: range(1, 50) });
  await done;
  assert.equal(room.get(7).text, 'changed');
  assert.equal(room.complete, true);
  assert.deepEqual(seqs(room), range(1, 100).map((m) => m.seq));
});

test('history that was lost with the connection is asked for again; a reset ends it', async () => {
  const chat = client();
  const room = chat.join('general');
  last().welcomes();
  last().joins({ head: 100, messages: range(51, 100) });
  const done = chat.older('general');
  last().breaks();
  mock.timers.tick(60_000);
  last().welcomes();
  const again = last().hearsOne('history');
  last().joins({ epoch: 'e2', head: 0, reset: true });
  await done;
  last().says({ type: 'history', ref: again.ref, room: 'general', more: true, messages: range(40, 50) });
  assert.deepEqual(seqs(room), []);
});

test('what is written is sent again with the same id until it is acknowledged', () => {
  const { chat } = settled(3);
  const entry = chat.send('general', 'hola');
  const sent = last().hearsOne('send');
  assert.equal(sent.id, entry.id);
  last().breaks();
  assert.equal(entry.state, 'waiting');
  comesBack({ head: 3 });
  assert.equal(last().hearsOne('send').id, entry.id);
  last().says({ type: 'ack', room: 'general', id: entry.id, seq: 4, rev: 4, at: 'x' });
  assert.equal(entry.state, 'acked');
  last().says(message(4, { id: entry.id }));
  assert.deepEqual(chat.unsent('general'), []);
  last().breaks();
  comesBack({ head: 4 });
  assert.deepEqual(last().heard('send'), []);
});

test('a message that was kept before the loss comes with the resume and is not sent again', () => {
  const { chat } = settled(3);
  const entry = chat.send('general', 'hola');
  last().breaks();
  mock.timers.tick(60_000);
  last().welcomes();
  assert.equal(last().hearsOne('send').id, entry.id); // pipelined behind the join: the id makes it harmless
  last().joins({ head: 4, messages: [message(4, { id: entry.id })] });
  assert.deepEqual(chat.unsent('general'), []);
});

test('words leave in the order written, one at a time', () => {
  const { chat } = settled(3);
  const [one, two] = ['one', 'two'].map((text) => chat.send('general', text));
  assert.equal(last().hearsOne('send').id, one.id);
  last().says({ type: 'error', id: one.id, code: 'rate_limited', detail: 'slowly', retry_after_ms: 700 });
  mock.timers.tick(699);
  assert.deepEqual(last().heard('send'), []);
  mock.timers.tick(1);
  assert.equal(last().hearsOne('send').id, one.id);
  last().says({ type: 'ack', room: 'general', id: one.id, seq: 4, rev: 4, at: 'x' });
  assert.equal(last().hearsOne('send').id, two.id);
});

test('a permanent refusal surfaces, lets the next one pass, and can be retried or discarded', () => {
  const { chat } = settled(3);
  const [one, two] = ['one', 'two'].map((text) => chat.send('general', text));
  last().hearsOne('send');
  last().says({ type: 'error', id: one.id, code: 'id_taken', detail: 'other words' });
  assert.deepEqual([one.state, one.error.code], ['refused', 'id_taken']);
  assert.equal(last().hearsOne('send').id, two.id);
  last().says({ type: 'ack', room: 'general', id: two.id, seq: 4, rev: 4, at: 'x' });
  chat.retry(one.id);
  assert.equal(last().hearsOne('send').id, one.id);
  last().says({ type: 'error', id: one.id, code: 'id_taken', detail: 'other words' });
  chat.discard(one.id);
  assert.deepEqual(chat.unsent('general').map((e) => e.id), [two.id]);
});

test('what was not sent survives a reload, in order, until it is acknowledged', () => {
  const storage = new Shelf();
  const before = new Tertulia({ url: 'ws://node/ws', name: 'ana', WebSocket: PaperSocket, storage });
  const written = ['one', 'two', 'three'].map((text) => before.send('general', text).id);
  const { chat } = settled(3, { storage });
  assert.deepEqual(chat.unsent('general').map((e) => e.id), written);
  for (const [i, id] of written.entries()) {
    assert.equal(last().hearsOne('send').id, id);
    last().says({ type: 'ack', room: 'general', id, seq: 4 + i, rev: 4 + i, at: 'x' });
  }
  assert.equal(storage.length, 0);
});

test('words for a room that nobody looks at are still sent, and the room is left afterwards', () => {
  const { chat } = settled(3);
  const entry = chat.send('general', 'bye');
  last().hearsOne('send');
  chat.leave('general');
  assert.deepEqual(last().heard('leave'), []);
  last().breaks();
  comesBack({ head: 3 });
  assert.equal(last().hearsOne('send').id, entry.id);
  last().says({ type: 'ack', room: 'general', id: entry.id, seq: 4, rev: 4, at: 'x' });
  assert.equal(last().hearsOne('leave').room, 'general');
  assert.equal(chat.room('general'), undefined);
});

test('an edit is answered by its ref, asked again after a loss, and a refusal rejects', async () => {
  const { chat } = settled(3);
  const edit = chat.edit('general', 2, 'better');
  last().breaks();
  mock.timers.tick(60_000);
  last().welcomes();
  last().joins({ head: 3 });
  const asked = last().hearsOne('edit');
  assert.deepEqual([asked.seq, asked.text], [2, 'better']);
  last().says({ type: 'ack', ref: asked.ref, room: 'general', id: 'id-2', seq: 2, rev: 4, at: 'x' });
  assert.equal((await edit).rev, 4);
  const remove = chat.delete('general', 1);
  last().says({ type: 'error', ref: last().hearsOne('delete').ref, code: 'forbidden', detail: 'not yours' });
  await assert.rejects(remove, { code: 'forbidden' });
});

test('a join that cannot be done now is tried again; one that never can is told', () => {
  const chat = client();
  const room = chat.join('general');
  const refusals = events(chat, 'room-refused');
  last().welcomes();
  last().says({ type: 'error', ref: last().hearsOne('join').ref, code: 'unavailable', detail: 'later', retry_after_ms: 300 });
  mock.timers.tick(300);
  last().joins({ head: 1, messages: [message(1)] });
  assert.equal(room.live, true);
  chat.join('a b');
  last().says({ type: 'error', ref: last().hearsOne('join').ref, code: 'invalid_room', detail: 'no' });
  assert.equal(refusals[0].room, 'a b');
});

test('what was sent behind a join that must be tried again waits for it', () => {
  const chat = client();
  chat.join('general');
  const entry = chat.send('general', 'hola');
  last().welcomes();
  last().says(
    { type: 'error', ref: last().hearsOne('join').ref, code: 'unavailable', detail: 'later', retry_after_ms: 300 },
    { type: 'error', id: last().hearsOne('send').id, code: 'not_joined', detail: 'join first' },
  );
  assert.equal(entry.state, 'waiting');
  assert.deepEqual(last().heard('send'), []);
  mock.timers.tick(300);
  last().joins();
  assert.equal(last().hearsOne('send').id, entry.id);
});

test('it backs off with full jitter, doubling up to a bound, and starts afresh after a steady connection', () => {
  const chat = client();
  const waits = events(chat, 'state');
  const tries = () => waits.filter((w) => w.state === 'waiting').map((w) => w.retry_in_ms);
  for (let i = 0; i < 7; i += 1) {
    last().breaks();
    mock.timers.tick(15_000);
  }
  assert.deepEqual(tries(), [250, 500, 1000, 2000, 4000, 7500, 7500]);
  last().welcomes();
  mock.timers.tick(5_000);
  last().breaks();
  assert.equal(tries().at(-1), 250);
});

test('the wait that a goodbye asks for is kept, and nothing cuts it short', () => {
  const { chat } = settled();
  const states = events(chat, 'state');
  last().says({ type: 'bye', reason: 'drain', retry_after_ms: 1234 });
  last().breaks();
  assert.deepEqual(states.at(-1), { state: 'waiting', reason: 'drain', retry_in_ms: 1234 });
  chat.nudge();
  mock.timers.tick(1233);
  assert.equal(sockets.length, 1);
  mock.timers.tick(1);
  assert.equal(sockets.length, 2);
});

test('a goodbye without a close ends the connection all the same', () => {
  const { chat } = settled();
  last().says({ type: 'bye', reason: 'slow', retry_after_ms: 10 });
  mock.timers.tick(1_000);
  assert.equal(chat.state, 'waiting');
});

test('silence is asked about, and no answer within the deadline is a loss', () => {
  const { chat } = settled();
  mock.timers.tick(24_999);
  assert.deepEqual(last().heard('ping'), []);
  mock.timers.tick(1);
  last().hearsOne('ping');
  last().says({ type: 'pong' });
  mock.timers.tick(25_000);
  last().hearsOne('ping');
  mock.timers.tick(8_000);
  assert.equal(chat.state, 'waiting');
});

test('while an answer is owed silence is suspicious sooner, however much one writes', () => {
  const { chat } = settled();
  for (let i = 0; i < 5; i += 1) {
    chat.send('general', `word ${i}`);
    mock.timers.tick(1_000);
  }
  last().hearsOne('ping');
  mock.timers.tick(8_000);
  assert.equal(chat.state, 'waiting');
});

test('a network that comes back is tried at once; an open line is asked whether it still holds', () => {
  const { chat } = settled();
  chat.nudge();
  last().hearsOne('ping');
  mock.timers.tick(4_000);
  assert.equal(chat.state, 'waiting');
  chat.nudge();
  assert.equal(chat.state, 'connecting');
});

test('a socket that was given up is not listened to any more', () => {
  const { chat, room } = settled(3);
  const old = last();
  chat.nudge();
  mock.timers.tick(4_000);
  old.says(message(4));
  assert.deepEqual(seqs(room), [1, 2, 3]);
});

test('typing is said at most every two seconds, and again at once after a message', () => {
  const { chat } = settled();
  chat.typing('general');
  chat.typing('general');
  assert.equal(last().heard('typing').length, 1);
  mock.timers.tick(2_000);
  chat.typing('general');
  chat.send('general', 'done');
  chat.typing('general');
  assert.equal(last().heard('typing').length, 2);
});

test('presence and typing of others are told, and unknown frames are ignored', () => {
  const { chat, room } = settled();
  const [presence, typing, errors] = ['presence', 'typing', 'error'].map((type) => events(chat, type));
  last().says(
    { type: 'presence', room: 'general', joined: [], left: [], count: 7, stale: true },
    { type: 'typing', room: 'general', user: { id: 'u-ben', name: 'ben' } },
    { type: 'tomorrow', room: 'general' },
    { type: 'error', code: 'invalid_field', detail: 'what?' },
  );
  assert.deepEqual([presence[0].count, presence[0].stale, room.members], [7, true, 7]);
  assert.equal(typing[0].user.name, 'ben');
  assert.equal(errors.length, 1);
});

test('forgotten old messages can be fetched again without a hole', async () => {
  const { chat, room } = settled(200);
  room.trim(50);
  assert.equal(room.low, 151);
  const done = chat.older('general');
  const asked = last().hearsOne('history');
  assert.equal(asked.before, 151);
  room.trim(10); // not while older ones are on their way
  last().says({ type: 'history', ref: asked.ref, room: 'general', more: true, messages: range(101, 150) });
  await done;
  assert.deepEqual(seqs(room), range(101, 200).map((m) => m.seq));
});
