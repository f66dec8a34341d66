// What these tests stand on: unchanged client libraries, used as people use them.

import { io } from 'socket.io-client';
import { io as old } from 'socket.io-client-4.3';
import { required, until } from '../../../../web/tests/stage.mjs';
import { reference } from './reference.mjs';

export { Line, required, until } from '../../../../web/tests/stage.mjs';

const named = required('TERTULIA_URLS');

/** Three doors of one chat. The word `socket.io` stands for that project's own server, started here. */
export const URLS = named === 'socket.io' ? Array(3).fill(await reference()) : named.split(',');
export const isTertulia = named !== 'socket.io';

export const LIBRARIES = { 'socket.io-client 4.8': io, 'socket.io-client 4.3.2': old };

/** How a client gets there. The last is the default of all of them. */
export const WAYS = {
  'WebSocket': { transports: ['websocket'] },
  'polling': { transports: ['polling'] },
  'polling and the upgrade': { transports: ['polling', 'websocket'] },
};

/**
 * The client of Socket.IO's tutorial: it remembers the last offset it heard, gives each message a key, and tries again.
 * It stands in pages too, so it leans on nothing around it.
 */
export function tutorial(io, url, options) {
  const [heard, refused, reasons, notices] = [[], [], [], []];
  const socket = io(url, { retries: 3, ackTimeout: 10_000, reconnectionDelay: 50, reconnectionDelayMax: 400, forceNew: true, ...options });
  let counter = 0;
  socket.on('chat message', (text, offset, from) => {
    heard.push([text, offset, from]);
    socket.auth.serverOffset = offset;
  });
  socket.on('error', (refusal) => refused.push(refusal));
  socket.on('disconnect', (reason) => reasons.push(reason));
  for (const event of ['user connected', 'user disconnected']) socket.on(event, (name) => notices.push([event, name]));

  /** Settles with what the acknowledgement brought. */
  const say = (text, key = `${socket.id}-${(counter += 1)}`) =>
    new Promise((resolve) => socket.emit('chat message', text, key, (...answer) => resolve(answer)));
  const close = () => socket.disconnect();
  return { socket, heard, refused, reasons, notices, say, close };
}

const present = [];

/** Keeps somebody until the test is over. */
export function guest(person) {
  present.push(person);
  return person;
}

export function person(url, username, room, { library = io, auth = { serverOffset: 0 }, ...options } = {}) {
  return guest(tutorial(library, url, { auth: { username, room, ...auth }, ...options }));
}

/** A plain client with a list of all it hears. */
export function plain(url, { library = io, ...options } = {}) {
  const socket = library(url, { reconnectionDelay: 50, reconnectionDelayMax: 400, forceNew: true, ...options });
  const heard = [];
  socket.onAny((event, ...args) => heard.push([event, ...args]));
  const of = (event) => heard.filter(([name]) => name === event).map(([, ...args]) => args);
  return guest({ socket, heard, of, close: () => socket.disconnect() });
}

export async function everybodyLeaves() {
  for (const one of present.splice(0)) await one.close();
}

export const texts = (one) => one.heard.map(([text]) => text);

export const connected = (...people) =>
  until('they are connected', () => people.every(({ socket }) => socket.connected));

/** Waits until so much was heard, and a moment of the chat's own time: what is said after it comes after it. */
export async function hears(one, count) {
  await until(`${count} messages are heard`, () => one.heard.length >= count).catch((error) => {
    throw new Error(`${error.message}; heard: ${JSON.stringify(one.heard.slice(-5))}, ${one.heard.length} in all`);
  });
}

let rooms = 0;
export const fresh = () => `room-${process.pid}-${Date.now()}-${(rooms += 1)}`;
export const numbers = (count, from = 1) => Array.from({ length: count }, (_, i) => `number ${from + i}`);
