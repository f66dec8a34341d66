// Socket.IO's own server with the contract that Tertulia keeps, in memory and in our own words. What the tests expect of a
// node they expect of this one first, so that they say what Socket.IO does and not what Tertulia happens to do.

import { createServer } from 'node:http';
import { after } from 'node:test';
import { Server } from 'socket.io';

export async function reference() {
  const http = createServer((request, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>reference</title>'));
  const io = new Server(http, { cors: { origin: [process.env.TERTULIA_PAGES, process.env.TERTULIA_OTHER_PAGES], credentials: true } });
  const rooms = new Map();

  io.on('connection', (socket) => {
    const { username = 'anonymous', room = 'general', serverOffset = 0 } = socket.handshake.auth;
    if (!rooms.has(room)) rooms.set(room, { log: [], keys: new Set(), users: new Set() });
    const { log, keys, users } = rooms.get(room);
    const others = socket.to(room);
    let speaks;
    let name = username;

    const keep = (text) => {
      const entry = [text, String(log.length + 1), name];
      log.push(entry);
      return entry;
    };

    socket.join(room);
    socket.emit('my-name-is', 'reference');
    for (const entry of log.slice(Number(serverOffset))) socket.emit('chat message', ...entry);
    others.emit('user connected', name);

    socket.on('chat message', (text, ...rest) => {
      const ack = rest.findLast((value) => typeof value === 'function');
      const key = typeof rest[0] === 'string' && `${name} ${rest[0]}`;
      if (!key || !keys.has(key)) {
        if (key) keys.add(key);
        io.to(room).emit('chat message', ...keep(text));
      }
      ack?.();
    });

    socket.on('message', (said) => {
      const text = said.text ?? said;
      keep(text);
      io.to(room).emit('message', text === said ? text : { username: said.username, text });
    });

    socket.on('add user', (given) => {
      if (speaks) return;
      speaks = true;
      name = given;
      users.add(socket);
      socket.emit('login', { numUsers: users.size });
      others.emit('user joined', { username: name, numUsers: users.size });
    });
    socket.on('new message', (message) => {
      keep(message);
      others.emit('new message', { username: name, message });
    });
    for (const event of ['typing', 'stop typing']) socket.on(event, () => others.emit(event, { username: name }));

    socket.on('disconnect', () => {
      others.emit('user disconnected', name);
      if (users.delete(socket)) others.emit('user left', { username: name, numUsers: users.size });
    });
  });

  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  after(() => io.close());
  return `http://127.0.0.1:${http.address().port}`;
}
