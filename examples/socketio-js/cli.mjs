// node cli.mjs chat-message Ana [http://127.0.0.1:8080]

import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const [vocabulary, name, url = 'http://127.0.0.1:8080'] = process.argv.slice(2);
const { enter } = await import(`./${vocabulary}.mjs`);
const say = enter(io, url, name, console.log);

for await (const line of createInterface({ input: process.stdin })) say(line);
process.exit();
