// The official tutorial's chat on Node, spread over processes by the Redis adapter: what Tertulia is measured beside.
// It speaks as Tertulia does (docs/socketio.md): one room a socket, named in `auth` or by `join`; `chat message` with a text, its
// number and a name; an acknowledgement of `[]`. It keeps nothing: a number counts what this process has said in the room.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const { PORT = '0', HOST = '127.0.0.1', REDIS_URL = 'redis://127.0.0.1:6379' } = process.env;

const publisher = createClient({ url: REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber), maxHttpBufferSize: 65536 });
const said = new Map();

io.on('connection', (socket) => {
  const { room = 'general', username = 'anonymous' } = socket.handshake.auth;
  let here = room;
  socket.join(here);
  socket.on('join', (next, acknowledge) => {
    socket.leave(here);
    here = next;
    socket.join(here);
    acknowledge?.();
  });
  socket.on('leave', (left, acknowledge) => {
    socket.leave(left);
    acknowledge?.();
  });
  socket.on('chat message', (text, ...rest) => {
    const number = (said.get(here) ?? 0) + 1;
    said.set(here, number);
    io.to(here).emit('chat message', text, String(number), username);
    rest.findLast((argument) => typeof argument === 'function')?.();
  });
});

http.listen(Number(PORT), HOST, () => console.log(`listening on ${HOST}:${http.address().port}`));
