// The smallest vocabulary: what one sends, everybody gets. As an object it says who spoke.

export function enter(io, url, name, show) {
  const socket = io(url, { auth: { username: name } });

  socket.on('message', (message) => show(typeof message === 'string' ? message : `${message.username}: ${message.text}`));
  socket.on('error', ({ detail }) => show(`refused: ${detail}`));

  return (text) => socket.send({ username: name, text });
}
