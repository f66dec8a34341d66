// The other vocabularies: `new message` of Socket.IO's chat examples, `message` of send(), and all of them in one room.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connected, everybodyLeaves, fresh, guest, hears, isTertulia, LIBRARIES, Line, numbers, person, plain, texts, until, URLS, WAYS } from './people.mjs';

afterEach(everybodyLeaves);

const seen = (one, event, what) =>
  until(`${event} ${JSON.stringify(what)}`, () => one.of(event).some(([got]) => JSON.stringify(got) === JSON.stringify(what))).catch((error) => {
    throw new Error(`${error.message}; heard: ${JSON.stringify(one.heard)}`);
  });

/** The client of the chat examples: it says who it is, and again after each return. */
function talker(url, username, room, options) {
  const one = plain(url, { auth: { room }, ...options });
  one.socket.on('connect', () => one.socket.emit('add user', username));
  one.logged = (numUsers) => seen(one, 'login', { numUsers });
  return one;
}

for (const [name, library] of Object.entries(LIBRARIES)) {
  for (const [way, options] of Object.entries(WAYS)) {
    describe(`new message: ${name} by ${way}`, () => {
      const come = (door, username, room) => talker(URLS[door], username, room, { library, ...options });

      test('people are counted on all nodes together', async () => {
        const room = fresh();
        const silent = plain(URLS[0], { library, auth: { room }, ...options });
        await connected(silent);
        const ana = come(0, 'Ana', room);
        await ana.logged(1);
        assert.equal(ana.heard[0][0], 'my-name-is');
        const ben = come(1, 'Ben', room);
        await ben.logged(2);
        await seen(ana, 'user joined', { username: 'Ben', numUsers: 2 });
        const cleo = come(2, 'Cleo', room);
        await cleo.logged(3);
        for (const one of [ana, ben]) await seen(one, 'user joined', { username: 'Cleo', numUsers: 3 });

        // Only the first name counts.
        ben.socket.emit('add user', 'Benjamin');
        ben.socket.emit('new message', 'I am Ben');
        for (const one of [ana, cleo]) await seen(one, 'new message', { username: 'Ben', message: 'I am Ben' });
        assert.equal(ben.of('login').length, 1);
        assert.equal(ana.of('user joined').length, 2);

        const left = Date.now();
        cleo.close();
        for (const one of [ana, ben]) await seen(one, 'user left', { username: 'Cleo', numUsers: 2 });
        assert.ok(Date.now() - left < 2000, 'within two seconds');
      });

      test('what one says or types comes to the others only', async () => {
        const room = fresh();
        const [ana, ben] = [come(0, 'Ana', room), come(2, 'Ben', room)];
        await Promise.all([ana, ben].map((one) => until('logged in', () => one.of('login').length)));
        ana.socket.emit('typing');
        await seen(ben, 'typing', { username: 'Ana' });
        ana.socket.emit('stop typing');
        await seen(ben, 'stop typing', { username: 'Ana' });
        for (const text of numbers(20)) ana.socket.emit('new message', text);
        ben.socket.emit('new message', 'well');
        await seen(ana, 'new message', { username: 'Ben', message: 'well' });
        await seen(ben, 'new message', { username: 'Ana', message: 'number 20' });
        assert.deepEqual(ben.of('new message').map(([{ message }]) => message), numbers(20));
        assert.deepEqual(ana.of('new message').length, 1);
        for (const event of ['typing', 'stop typing']) assert.deepEqual(ana.of(event), []);
      });
    });
  }
}

test('who returns is the same person, and is counted once', async () => {
  const room = fresh();
  const line = guest(await Line.to(new URL(URLS[0])));
  const ana = talker(line.url, 'Ana', room);
  await ana.logged(1);
  const ben = talker(URLS[1], 'Ben', room);
  await ben.logged(2);
  await seen(ana, 'user joined', { username: 'Ben', numUsers: 2 });
  line.cut();
  await until('she is away', () => !ana.socket.connected);
  line.mend();
  await until('she is in again', () => ana.of('login').length === 2);
  assert.deepEqual(ana.of('login')[1], [{ numUsers: 2 }]);
  // Who comes and goes at once is told to nobody, so they take their time.
  await pause(2000);
  await ben.close();
  await seen(ana, 'user left', { username: 'Ben', numUsers: 1 });
});

describe('message', () => {
  for (const [way, options] of Object.entries(WAYS)) {
    test(`send() comes back to everybody, by ${way}`, async () => {
      const room = fresh();
      const [ana, ben] = ['Ana', 'Ben'].map((username, i) => plain(URLS[i], { auth: { username, room }, ...options }));
      await connected(ana, ben);
      ana.socket.send('hola');
      for (const one of [ana, ben]) await until('it is heard', () => one.of('message').some(([said]) => said === 'hola'));
    });
  }

  test('an object comes back as an object', async () => {
    const room = fresh();
    const [ana, ben] = ['Ana', 'Ben'].map((username, i) => plain(URLS[i], { auth: { username, room } }));
    await connected(ana, ben);
    ben.socket.send({ username: 'Ben', text: 'here' });
    await until('it is heard', () => ben.of('message').length === 1);
    ana.socket.send({ username: 'Ana', text: 'hola' });
    await until('it is heard', () => ben.of('message').length === 2);
    const [{ username, text }] = ben.of('message')[1];
    assert.deepEqual([username, text], ['Ana', 'hola']);
  });
});

describe('notices', () => {
  test('others hear who comes and goes', async () => {
    const room = fresh();
    const ana = person(URLS[0], 'Ana', room);
    await connected(ana);
    const ben = person(URLS[1], 'Ben', room);
    await until('he is announced', () => ana.notices.length === 1);
    ben.close();
    await until('he is gone', () => ana.notices.length === 2);
    assert.deepEqual(ana.notices, [['user connected', 'Ben'], ['user disconnected', 'Ben']]);
    assert.deepEqual(ben.notices, []);
  });
});

describe('only Tertulia', { skip: !isTertulia && 'Socket.IO has no such thing of its own' }, () => {
  test('three vocabularies in one room', async () => {
    const room = fresh();
    const ana = person(URLS[0], 'Ana', room);
    const ben = talker(URLS[1], 'Ben', room);
    const cleo = plain(URLS[2], { auth: { username: 'Cleo', room } });
    await connected(ana, cleo);
    await ben.logged(1);
    await ana.say('one');
    await seen(ben, 'new message', { username: 'Ana', message: 'one' });
    ben.socket.emit('new message', 'two');
    await hears(ana, 2);
    await until('she has heard both in both ways', () => cleo.of('message').length === 2 && cleo.of('chat message').length === 2);
    cleo.socket.send('three');
    await hears(ana, 3);
    assert.deepEqual(ana.heard, [['one', '1', 'Ana'], ['two', '2', 'Ben'], ['three', '3', 'Cleo']]);
    await seen(ben, 'new message', { username: 'Cleo', message: 'three' });
    // She had not spoken before the third: until then she hears each message in both ways of those who hear all.
    await until('three is heard', () => cleo.of('message').some(([said]) => said === 'three'));
    assert.deepEqual(cleo.of('message').slice(0, 2), [['one'], ['two']]);
    assert.deepEqual(cleo.of('chat message').slice(0, 2), [['one', '1', 'Ana'], ['two', '2', 'Ben']]);
    assert.deepEqual(ben.of('new message').map(([{ message }]) => message), ['one', 'three']);
  });

  test('an object has several names for the same thing', async () => {
    const room = fresh();
    const [ana, ben] = [person(URLS[0], 'Ana', room), plain(URLS[1], { auth: { username: 'Ben', room } })];
    await connected(ana, ben);
    for (const [i, key] of ['text', 'message', 'msg'].entries()) {
      ben.socket.send({ [['username', 'user', 'name'][i]]: 'Ben', [key]: key });
      await hears(ana, i + 1);
    }
    assert.deepEqual(texts(ana), ['text', 'message', 'msg']);
  });

  test('without an offset the recent tail comes, with 0 everything', async () => {
    const room = fresh();
    const ana = person(URLS[0], 'Ana', room);
    await connected(ana);
    await Promise.all(numbers(600).map((text) => ana.say(text)));
    const late = person(URLS[1], 'Late', room, { auth: {} });
    const whole = person(URLS[2], 'Whole', room);
    await hears(whole, 600);
    assert.deepEqual(texts(whole), numbers(600));
    await until('the newest is heard', () => late.heard.at(-1)?.[0] === 'number 600');
    assert.ok(late.heard.length < 600, 'a tail is not the whole');
    assert.deepEqual(texts(late), numbers(600).slice(-late.heard.length));
  });

  test('one goes from room to room, and history is asked for', async () => {
    const [room, second] = [fresh(), fresh()];
    const [ana, ben] = [person(URLS[0], 'Ana', room), person(URLS[1], 'Ben', second)];
    await connected(ana, ben);
    for (const text of numbers(5)) await ben.say(text);
    ana.socket.emit('join', second);
    await hears(ana, 5);
    await ana.say('number 6');
    for (const one of [ana, ben]) await hears(one, 6);
    assert.deepEqual(texts(ana), numbers(6));
    const history = JSON.stringify(await new Promise((resolve) => ana.socket.emit('history', { before: 4, limit: 2 }, (_, answer) => resolve(answer))));
    assert.match(history, /number 2.*number 3/);
    assert.doesNotMatch(history, /number [1456]/);
    ana.socket.emit('leave', second);
    ana.socket.emit('join', room);
    await ben.say('number 7');
    await ana.say('in my room');
    await until('her own room speaks', () => texts(ana).includes('in my room'));
    assert.ok(!texts(ana).includes('number 7'), 'who left hears no more');
  });

  test('a refusal is told, and is not acknowledged', async () => {
    const room = fresh();
    const ana = plain(URLS[0], { auth: { username: 'Ana', room } });
    await connected(ana);
    let acknowledged = false;
    for (const wrong of ['', 'x'.repeat(30_000), { not: 'text' }, 7, null]) {
      const before = ana.of('error').length;
      ana.socket.emit('chat message', wrong, `key-${before}`, () => (acknowledged = true));
      await until(`${JSON.stringify(wrong).slice(0, 20)} is refused`, () => ana.of('error').length > before);
      const [{ code, detail }] = ana.of('error').at(-1);
      assert.equal(typeof code, 'string');
      assert.equal(typeof detail, 'string');
    }
    const answer = await new Promise((resolve) => ana.socket.emit('chat message', 'right', 'key', (...args) => resolve(args)));
    assert.deepEqual(answer, []);
    assert.equal(acknowledged, false);
    await until('it is heard', () => ana.of('chat message').length > 0);
    assert.deepEqual(ana.of('chat message').map(([text, offset]) => [text, offset]), [['right', '1']]);
  });
});
