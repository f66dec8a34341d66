// index.html?vocabulary=chat-message&name=Ana&node=http://127.0.0.1:8080

const ask = new URLSearchParams(location.search);
const node = ask.get('node') ?? 'http://127.0.0.1:8080';

// The node has the library too, as Socket.IO's own server does. A page of one's own would have the address in its HTML.
const library = document.createElement('script');
library.src = `${node}/socket.io/socket.io.js`;
const loaded = new Promise((resolve, reject) => Object.assign(library, { onload: resolve, onerror: reject }));
document.head.append(library);
await loaded;

const show = (line) => {
  const item = document.createElement('li');
  item.textContent = line;
  document.querySelector('#heard').append(item);
};

const { enter } = await import(`./${ask.get('vocabulary') ?? 'chat-message'}.mjs`);
const say = enter(window.io, node, ask.get('name') ?? 'Ana', show);

document.querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  say(event.target.text.value);
  event.target.reset();
});
