// The vocabulary of Socket.IO's chat examples: people are counted, and one shows one's own words oneself.

export function enter(io, url, name, show) {
  const socket = io(url);

  socket.on('connect', () => socket.emit('add user', name));
  socket.on('login', ({ numUsers }) => show(`people: ${numUsers}`));
  socket.on('user joined', ({ username, numUsers }) => show(`${username} is here, people: ${numUsers}`));
  socket.on('user left', ({ username, numUsers }) => show(`${username} left, people: ${numUsers}`));
  socket.on('new message', ({ username, message }) => show(`${username}: ${message}`));
  socket.on('error', ({ detail }) => show(`refused: ${detail}`));

  return (text) => {
    socket.emit('new message', text);
    show(`${name}: ${text}`);
  };
}
