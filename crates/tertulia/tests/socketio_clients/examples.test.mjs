// The small clients of examples/ talk with each other: from Node.js, from Python and from a page of another origin.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Stage } from '../../../../web/tests/stage.mjs';
import { everybodyLeaves, required, URLS } from './people.mjs';
import { path, program, PYTHON } from './programs.mjs';

const EXAMPLES = '../../../../examples';
const pages = new URL(required('TERTULIA_PAGES'));
let server;
let stage;

before(async () => {
  stage = await Stage.open();
  server = createServer(async (request, answer) => {
    const name = new URL(request.url, pages).pathname.slice(1);
    answer.setHeader('content-type', name.endsWith('.html') ? 'text/html' : 'text/javascript');
    answer.end(await readFile(path(`${EXAMPLES}/socketio-js/${name}`)).catch(() => ''));
  });
  await new Promise((resolve) => server.listen(pages.port, pages.hostname, resolve));
});
after(async () => {
  server.close();
  await stage.close();
});
afterEach(async () => {
  await everybodyLeaves();
  await stage.clear();
});

for (const vocabulary of ['chat-message', 'new-message', 'message']) {
  test(vocabulary, async () => {
    const node = program(process.execPath, path(`${EXAMPLES}/socketio-js/cli.mjs`), vocabulary, 'Ana', URLS[0]);
    const python = program(PYTHON, path(`${EXAMPLES}/socketio-python/${vocabulary.replace('-', '_')}.py`), 'Ben', URLS[1]);
    const page = await stage.page();
    await page.goto(`${pages.origin}/index.html?vocabulary=${vocabulary}&name=Cleo&node=${URLS[2]}`);
    const shows = (line) => page.locator('#heard li').filter({ hasText: line }).first().waitFor();

    const write = async (text) => {
      await page.locator('input').fill(text);
      await page.locator('input').press('Enter');
    };
    const stamp = `${vocabulary} ${Date.now()}`;
    const prints = (one) => (text) => one.prints(text, (line) => line.includes(text));
    // These vocabularies have no word for being ready, so one speaks until one is heard.
    for (const one of [node, python]) {
      for (let i = 1; !one.lines.some((line) => line.includes(stamp)); i += 1) {
        await write(`${stamp} ready ${i}`);
        await pause(100);
      }
    }
    for (const [name, say] of [['Ana', node.say], ['Ben', python.say], ['Cleo', write]]) {
      await say(`${stamp} here is ${name}`);
      await Promise.all([prints(node), prints(python), shows].map((heard) => heard(`${stamp} here is ${name}`)));
    }
    assert.deepEqual(await python.ends(), [0, '']);
    assert.deepEqual(await node.ends(), [0, '']);
  });
}
