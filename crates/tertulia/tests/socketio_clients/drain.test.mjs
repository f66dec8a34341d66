// A node leaves while all kinds of clients poll behind the front door: each of them returns by itself, to the node that stays.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connected, everybodyLeaves, fresh, person, required, until } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';

const door = required('TERTULIA_DOOR');
const pids = required('TERTULIA_PIDS').split(',').map(Number);
const POLLING = { transports: ['polling'] };

after(everybodyLeaves);

/** What a program printed after a word. */
const following = (word) => (one) => one.lines.map((line) => JSON.parse(line)).filter(([first]) => first === word).map(([, second]) => second);
const nodes = following('node');
const reasons = following('disconnected');
const heard = following('message');

test('who polls comes back when a node leaves', async () => {
  const room = fresh();
  const pythons = ['sync', 'asyncio'].flatMap((kind) =>
    [1, 2, 3].map((i) => program(PYTHON, path('hola.py'), kind, door, JSON.stringify({ auth: { username: `${kind} ${i}`, room }, ...POLLING }))));
  const people = [1, 2, 3, 4].map((i) => {
    const one = person(door, `person ${i}`, room, { ...POLLING, withCredentials: true });
    one.nodes = [];
    one.socket.on('my-name-is', (node) => one.nodes.push(node));
    return one;
  });
  const places = () => [...pythons.map(nodes), ...people.map((one) => one.nodes)];
  const told = (error) => {
    throw new Error(`${error.message}: ${JSON.stringify(places())} ${pythons.map(({ lines }) => lines.join(' '))}`);
  };
  await until('all know their node', () => places().every((all) => all.length === 1)).catch(told);
  for (const kind of [pythons.map(nodes), people.map((one) => one.nodes)]) {
    assert.deepEqual([...new Set(kind.flat())].sort(), ['n1', 'n2'], 'the door spread them');
  }
  const moved = [...pythons, ...people].filter((one) => (one.nodes ?? nodes(one))[0] === 'n1');

  process.kill(pids[0], 'SIGTERM');
  await until('all are on the node that stays', () => places().every((all) => all.at(-1) === 'n2')).catch(told);
  await connected(...people);
  await people[0].say('after the drain');
  await until('all hear it', () => people.every((one) => one.heard.some(([text]) => text === 'after the drain')));
  await until('Python too', () => pythons.every((one) => heard(one).includes('after the drain')));
  for (const one of pythons) assert.deepEqual(reasons(one), moved.includes(one) ? ['transport error'] : []);
  for (const one of people) assert.deepEqual(one.reasons, moved.includes(one) ? ['transport error'] : []);
});
