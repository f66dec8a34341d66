// What the browser tests stand on: a node of their own, a network line that can be cut, and people with pages.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const DEADLINE_MS = 30_000;

/** A test that cannot run is a failure, not a skip. */
export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set: see README.md of the web folder`);
  return value;
}

/** Asks again until the answer is there. */
export async function until(what, ask) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    if (await ask()) return;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(25);
  }
}

const listening = (server, port = 0) =>
  new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server.address().port)));

/** One node with its own data; killing and starting it again keeps them. */
export class Node {
  static async start() {
    const node = new Node();
    const probe = createServer();
    node.port = await listening(probe);
    await new Promise((resolve) => probe.close(resolve));
    node.data = mkdtempSync(join(tmpdir(), 'tertulia-web-'));
    await node.start();
    return node;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start() {
    // It is alone: whatever the surroundings say about a cluster is not meant for it.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !key.startsWith('TERTULIA_') && !/^(DATABASE|REDIS)_URL$/.test(key)),
    );
    const args = ['serve', '--listen', `127.0.0.1:${this.port}`, '--data-dir', this.data, '--send-rate', '0'];
    let log = '';
    this.process = spawn(required('TERTULIA_BIN'), args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (data) => (log = (log + data).slice(-4000)));
    this.gone = new Promise((resolve) => this.process.once('exit', resolve));
    let exited = false;
    this.gone.then(() => (exited = true));
    await until('the node is ready', async () => {
      if (exited) throw new Error(`the node left: ${log}`);
      return fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
    });
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.gone;
  }

  async remove() {
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }
}

/** A line between a page and a node that can be cut and mended, or carry only what goes up. */
export class Line {
  #open = true;
  #hushed = false;
  #sockets = new Set();
  #down = new Map();

  static async to(node) {
    const line = new Line();
    line.server = createServer((near) => {
      if (!line.#open) return near.destroy();
      const far = connect(node.port, '127.0.0.1');
      for (const [socket, other] of [[near, far], [far, near]]) {
        line.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          line.#sockets.delete(socket);
          line.#down.delete(socket);
          other.destroy();
        });
      }
      near.pipe(far);
      line.#down.set(far, near);
      if (!line.#hushed) far.pipe(near);
      return undefined;
    });
    line.url = `http://127.0.0.1:${await listening(line.server)}`;
    return line;
  }

  cut() {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#open = true;
    this.#hushed = false;
  }

  /** From now on the node hears the page, and nobody hears the node. */
  hush() {
    this.#hushed = true;
    for (const [far, near] of this.#down) far.unpipe(near);
  }

  /** What was held back arrives. */
  speak() {
    this.#hushed = false;
    for (const [far, near] of this.#down) far.pipe(near);
  }

  close() {
    this.cut();
    this.server.close();
  }
}

export const DESK = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/** People with pages, and everything that went wrong on them. */
export class Stage {
  #contexts = [];
  #troubles = [];

  static async open() {
    const stage = new Stage();
    stage.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',
      ],
    });
    return stage;
  }

  async page(options = {}) {
    const context = await this.browser.newContext({ locale: 'en-GB', ...DESK, ...options });
    context.setDefaultTimeout(DEADLINE_MS);
    this.#contexts.push(context);
    return this.pageIn(context);
  }

  async pageIn(context) {
    const page = await context.newPage();
    // A violation of the content security policy is a console error too; a refused connection is expected here.
    page.on('console', (entry) => {
      const words = entry.text();
      if (entry.type() !== 'error' || /^WebSocket connection to|ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED/.test(words)) return;
      // A refusal is an answer like any other; only browsers make an error of it.
      if (/status of 4\d\d/.test(words) && entry.location().url.includes('/api/v1/')) return;
      this.#troubles.push(`${words} ${entry.location().url}`);
    });
    page.on('pageerror', (error) => this.#troubles.push(error.stack));
    page.on('dialog', (dialog) => this.#troubles.push(`a dialog: ${dialog.message()}`));
    return page;
  }

  async person(url, name, room = 'general', options = {}) {
    const page = await this.page(options);
    await page.goto(`${url}/#${encodeURIComponent(room)}`);
    await page.locator('#name').fill(name);
    await page.locator('#name').press('Enter');
    const person = new Person(page, name);
    await person.isIn();
    return person;
  }

  async clear() {
    const troubles = this.#troubles.splice(0);
    for (const context of this.#contexts.splice(0)) await context.close();
    assert.deepEqual(troubles, [], 'nothing went wrong on any page');
  }

  async close() {
    await this.browser.close();
  }
}

export class Person {
  constructor(page, name) {
    Object.assign(this, { page, name, box: page.locator('#text') });
  }

  /** Connected, and the room is complete. */
  async isIn() {
    await this.state('open');
    await this.page.locator('#count:not(:empty)').waitFor();
  }

  state(state) {
    return this.page.locator(`#state[data-state="${state}"]`).waitFor();
  }

  async writes(words) {
    await this.box.fill(words);
    await this.box.press('Enter');
  }

  async says(words) {
    await this.writes(words);
    await this.hears(words);
  }

  /** What the room holds on this page, in order. */
  texts() {
    return this.page.locator('#messages .text').evaluateAll((nodes) => nodes.map((node) => node.firstChild?.textContent ?? ''));
  }

  hears(words) {
    return until(`${this.name} hears “${words.slice(0, 60)}”`, async () => (await this.texts()).includes(words));
  }

  async heardOnce(...all) {
    const texts = await this.texts();
    for (const words of all) assert.equal(texts.filter((text) => text === words).length, 1, `${this.name} has “${words}” once`);
  }

  /** Typing is best effort, and nodes thin it out: the other one goes on writing until it is seen. */
  seesWriting(other, words) {
    return until(`${this.name} sees “${words}”`, async () => {
      await other.box.press('x');
      return (await this.page.locator('#typing').textContent()) === words;
    });
  }

  message(words) {
    return this.page.locator('#messages .message', { hasText: words });
  }

  waiting(state) {
    return this.page.locator(`#outbox [data-state="${state}"]`);
  }

  async is(selector, words) {
    await until(`${selector} of ${this.name} says “${words}”`, async () => (await this.page.locator(selector).textContent()).trim() === words);
  }
}

/** Many messages, said by a client of its own in the page's own origin. */
export function crowd(page, room, from, to) {
  return page.evaluate(
    async ([room, from, to]) => {
      const { Tertulia } = await import('/tertulia.js');
      const url = new URL('/ws', location);
      url.protocol = 'ws:';
      const chat = new Tertulia({ url: url.href, name: 'crowd' });
      chat.connect();
      chat.join(room);
      for (let i = from; i <= to; i += 1) chat.send(room, `number ${i}`);
      await new Promise((resolve) => chat.addEventListener('outbox', () => chat.unsent(room).length === 0 && resolve()));
      chat.close();
    },
    [room, from, to],
  );
}

export async function picture(page, name) {
  const folder = process.env.TERTULIA_SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' });
}
