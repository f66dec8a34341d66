// The vocabulary of Socket.IO's tutorial: every message has a number, and who returns names the last one it heard.

export function enter(io, url, name, show) {
  const socket = io(url, { auth: { username: name, serverOffset: 0 }, ackTimeout: 10_000, retries: 3 });

  socket.on('chat message', (text, offset, from) => {
    socket.auth.serverOffset = offset;
    show(`${from}: ${text}`);
  });
  socket.on('user connected', (who) => show(`${who} is here`));
  socket.on('user disconnected', (who) => show(`${who} left`));
  socket.on('error', ({ detail }) => show(`refused: ${detail}`));

  // The key makes it one message, however often it is sent. `retries` sends until it is acknowledged.
  return (text) => socket.emit('chat message', text, crypto.randomUUID());
}
