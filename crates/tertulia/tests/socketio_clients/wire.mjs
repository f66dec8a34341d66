// Engine.IO 4 by hand: no library stands between these tests and the bytes.

import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { guest, until, URLS } from './people.mjs';

export const SEPARATOR = '\x1e';
const query = (params) => new URLSearchParams({ EIO: '4', transport: 'polling', ...params });

export const ask = (params, options, path = '/socket.io/') =>
  fetch(`${URLS[0]}${path}?${params instanceof URLSearchParams ? params : query(params)}`, options);

/** A session over polling. */
export async function poller() {
  const opened = await ask({});
  const text = await opened.text();
  const open = JSON.parse(text.slice(1));
  const { sid } = open;
  const poll = async (signal) => {
    const answer = await ask({ sid }, { signal });
    return [answer.status, await answer.text()];
  };
  const post = async (body) => {
    const answer = await ask({ sid }, { method: 'POST', body, headers: { 'content-type': 'text/plain;charset=UTF-8' } });
    return [answer.status, await answer.text()];
  };
  /** Polls until a packet came that begins so; all that came. */
  const pollFor = async (prefix) => {
    const packets = [];
    while (!packets.some((packet) => packet.startsWith(prefix))) {
      const [status, body] = await poll();
      if (status !== 200) throw new Error(`${status} ${body} after ${packets}`);
      packets.push(...body.split(SEPARATOR));
    }
    return packets;
  };
  /** Polls until nothing is left to say: the poll that hangs then. A heart may beat at the beginning. */
  const hang = async (signal) => {
    for (;;) {
      const hanging = poll(signal);
      const over = await Promise.race([hanging, pause(300, 'hangs')]);
      if (over === 'hangs') return { hanging };
      if (over[0] !== 200) throw new Error(`${over}`);
      if (over[1] === '2') await post('3');
    }
  };
  return { first: text, open, sid, poll, post, pollFor, hang };
}

/** A WebSocket that keeps what it hears. */
export function socket(params = {}, path = '/socket.io/') {
  const ws = new WebSocket(`${URLS[0].replace('http', 'ws')}${path}?${query({ transport: 'websocket', ...params })}`);
  const heard = [];
  let closed = false;
  let pings = 0;
  ws.on('message', (data, isBinary) => heard.push(isBinary ? data : String(data)));
  ws.on('error', () => {});
  ws.on('close', () => (closed = true));
  const packet = async (prefix) => {
    await until(`${prefix} comes; came: ${heard}`, () => heard.some((one) => one.toString().startsWith(prefix)));
    return heard.find((one) => one.toString().startsWith(prefix));
  };
  return guest({
    heard,
    packet,
    send: (data) => ws.send(data),
    answersPings: () => {
      for (const all = heard.filter((one) => one === '2').length; pings < all; pings += 1) ws.send('3');
    },
    closes: async (within = 30_000) => {
      const end = Date.now() + within;
      while (!closed && Date.now() < end) await pause(20);
      if (!closed) throw new Error(`it stays open; it heard ${heard}`);
    },
    isOpen: () => ws.readyState === WebSocket.OPEN,
    close: () => ws.terminate(),
  });
}
