// The page in a real browser, against real nodes: one that these tests start and kill, and two of a running cluster.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import axe from 'axe-core';
import { crowd, DESK, Line, Node, PHONE, Person, picture, required, Stage, until } from './stage.mjs';

required('TERTULIA_BIN');
const cluster = required('TERTULIA_URLS').split(',').map((url) => url.trim().replace(/\/$/, ''));
assert.ok(cluster.length >= 2, 'TERTULIA_URLS names two nodes of one cluster');

let stage;
let node;

before(async () => {
  stage = await Stage.open();
  node = await Node.start();
});

afterEach(() => stage.clear());

after(async () => {
  await node?.remove();
  await stage?.close();
});

let rooms = 0;
const fresh = () => `room-${process.pid}-${Date.now()}-${(rooms += 1)}`;
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `number ${from + i}`);

test('a name is enough to talk, and both come back with a reload', async () => {
  const room = fresh();
  const ana = await stage.person(node.url, 'Ana', room);
  await ana.page.locator('#beginning.empty').waitFor();
  await ana.says('good evening');
  await ana.page.reload();
  await ana.hears('good evening');
  assert.equal(await ana.page.locator('#door').isVisible(), false);
  assert.equal(await ana.message('good evening').evaluate((li) => li.classList.contains('mine')), true);
});

test('a name that cannot be one is refused at the door', async () => {
  const page = await stage.page();
  await page.goto(node.url);
  await page.locator('#name').press('Enter');
  assert.equal(await page.locator('#name').evaluate((input) => input.validity.valueMissing), true);
  await page.locator('#name').fill('a\u202eb'); // only the node knows that this one misleads
  await page.locator('#name').press('Enter');
  await page.locator('#name-error', { hasText: 'That did not work: the name is not allowed' }).waitFor();
  assert.equal(await page.locator('#house').isVisible(), false);
});

test('one edits and deletes one’s own, and everybody sees it', async () => {
  const room = fresh();
  const [ana, ben] = [await stage.person(node.url, 'Ana', room), await stage.person(node.url, 'Ben', room)];
  await ana.says('frist');
  await ana.says('second');
  await ben.hears('second');
  assert.equal(await ben.page.locator('.actions').count(), 0);

  await ana.message('frist').hover();
  await ana.message('frist').locator('.edit').click();
  assert.equal(await ana.box.inputValue(), 'frist');
  await ana.writes('first');
  await ben.hears('first');
  await ben.message('first').locator('.edited').waitFor();

  await ana.message('second').hover();
  await ana.message('second').locator('.delete').click();
  await ana.page.locator('#sure-no').click();
  await ana.message('second').locator('.delete').click();
  await ana.page.locator('#sure-yes').click();
  await ben.page.locator('.deleted').waitFor();
  assert.deepEqual(await ben.texts(), ['first', 'message deleted']);
  await ben.page.reload();
  await ben.hears('first');
  assert.deepEqual(await ben.texts(), ['first', 'message deleted']);
});

test('the keys do what they should', async () => {
  const ana = await stage.person(node.url, 'Ana', fresh());
  await ana.box.fill('one');
  await ana.box.press('Shift+Enter');
  await ana.box.pressSequentially('two');
  await ana.box.press('Enter');
  await ana.hears('one\ntwo');
  await ana.box.press('ArrowUp');
  assert.equal(await ana.box.inputValue(), 'one\ntwo');
  await ana.box.press('Escape');
  assert.equal(await ana.box.inputValue(), '');
  assert.equal(await ana.page.locator('#editing').isVisible(), false);
  await ana.box.press('ArrowUp');
  await ana.writes('three');
  await ana.hears('three');
  await ana.box.press('Shift+Tab'); // to the buttons of the last message: nothing is for the mouse only
  const focused = await ana.page.evaluate(() => {
    const { classList, parentElement } = document.activeElement;
    return [classList.contains('delete'), getComputedStyle(parentElement).opacity, getComputedStyle(document.activeElement).outlineStyle];
  });
  assert.deepEqual(focused, [true, '1', 'solid']);
});

test('who is here and who writes is shown', async () => {
  const room = fresh();
  const ana = await stage.person(node.url, 'Ana', room);
  await ana.is('#count', 'only you here');
  const ben = await stage.person(node.url, 'Ben', room);
  await ana.is('#count', '2 here');
  await ben.is('#count', '2 here');
  await ana.seesWriting(ben, 'Ben is writing…');
  await ben.writes('done');
  await ana.is('#typing', '');
  await ben.page.close();
  await ana.is('#count', 'only you here');
});

test('a node that is killed comes back with nothing missing and nothing twice', async () => {
  const room = fresh();
  const [ana, ben] = [await stage.person(node.url, 'Ana', room), await stage.person(node.url, 'Ben', room)];
  for (const words of ['one', 'two', 'three']) await ana.says(words);
  await ben.hears('three');
  await node.kill();
  await Promise.all([ana.state('waiting'), ben.state('waiting')]);
  await ana.writes('while away');
  await ana.writes('and more');
  await ben.writes('me too');
  assert.equal(await ana.waiting('waiting').count(), 2);
  assert.match(await ana.page.locator('#notice').textContent(), /Connection lost/);
  await picture(ana.page, 'desk-light-away');
  await node.start();
  await Promise.all([ana.isIn(), ben.isIn()]);
  const all = ['one', 'two', 'three', 'while away', 'and more', 'me too'];
  for (const person of [ana, ben]) {
    for (const words of all) await person.hears(words);
    await person.heardOnce(...all);
    assert.equal((await person.texts()).length, all.length);
    assert.equal(await person.page.locator('#outbox .message').count(), 0);
  }
  assert.deepEqual(await ana.texts(), await ben.texts());
  await ana.is('#notice', '');
});

test('whoever was cut off gets exactly what was said meanwhile, in order', async () => {
  const room = fresh();
  const line = await Line.to(node);
  try {
    const [ana, ben] = [await stage.person(line.url, 'Ana', room), await stage.person(node.url, 'Ben', room)];
    await ben.says('before');
    await ana.hears('before');
    line.cut();
    await ana.state('waiting');
    await crowd(ben.page, room, 1, 230);
    await ben.hears('number 230');
    line.mend();
    await ana.page.evaluate(() => dispatchEvent(new Event('online'))); // as the browser says it when the network is back
    await ana.hears('number 230');
    assert.deepEqual(await ana.texts(), ['before', ...numbers(1, 230)]);
    await ben.says('after');
    await ana.hears('after');
  } finally {
    line.close();
  }
});

test('what was not sent survives the page', async () => {
  const room = fresh();
  const ana = await stage.person(node.url, 'Ana', room);
  await ana.says('kept');
  await node.kill();
  await ana.state('waiting');
  await ana.writes('not lost');
  await ana.waiting('waiting').waitFor();
  const context = ana.page.context();
  await ana.page.close();
  await node.start();
  const again = new Person(await stage.pageIn(context), 'Ana again');
  await again.page.goto(`${node.url}/#${room}`);
  await again.hears('not lost');
  await again.heardOnce('kept', 'not lost');
  assert.equal(await again.page.locator('#outbox .message').count(), 0);
});

test('a message that is too long is not sent, and the page says how much too long', async () => {
  const ana = await stage.person(node.url, 'Ana', fresh());
  await ana.box.fill('ñ'.repeat(8_193)); // 16 386 bytes
  await ana.is('#room-left', '2 bytes too many');
  assert.equal(await ana.page.locator('#send').isDisabled(), true);
  await ana.box.fill('ñ'.repeat(8_192));
  await ana.is('#room-left', '0 bytes left');
  await ana.box.press('Enter');
  await ana.hears('ñ'.repeat(8_192));
});

test('a message that was refused says why, and can be tried again or discarded', async () => {
  const room = fresh();
  const ana = await stage.person(node.url, 'Ana', room);
  await ana.page.evaluate((room) => {
    const entry = { id: 'no-uuid', room, text: 'crooked', at: 1, n: 1, state: 'waiting' };
    localStorage.setItem(`tertulia.outbox.${entry.id}`, JSON.stringify(entry));
  }, room);
  await ana.page.reload();
  const refused = ana.waiting('refused');
  await refused.waitFor();
  assert.match(await refused.textContent(), /crooked.*Not sent: /);
  await isAccessible(ana.page);
  await refused.getByRole('button', { name: 'Try again' }).click();
  await refused.waitFor();
  await ana.says('straight'); // what is refused holds nothing up
  await refused.getByRole('button', { name: 'Discard' }).click();
  await refused.waitFor({ state: 'detached' });
  await ana.page.reload();
  await ana.hears('straight');
  assert.equal(await ana.page.locator('#outbox .message').count(), 0);
});

test('older messages come as one scrolls up, the page stays bounded, and new ones wait below', async () => {
  const room = fresh();
  const ben = await stage.person(node.url, 'Ben', fresh());
  await crowd(ben.page, room, 1, 700);
  const ana = await stage.person(node.url, 'Ana', room);
  await ana.hears('number 700');
  const scroller = ana.page.locator('#scroller');
  const place = () => ana.page.locator('#messages .message').first().locator('.text').textContent();
  await until('the first message is shown', async () => {
    await scroller.evaluate((node) => node.scrollTo(0, 0));
    return (await place()) === 'number 1';
  });
  await ana.is('#beginning', 'This is where the conversation begins.');
  const shown = await ana.texts();
  assert.ok(shown.length <= 300, `${shown.length} messages in the page`);
  assert.deepEqual(shown, numbers(1, shown.length));

  await crowd(ben.page, room, 701, 702);
  await ana.is('#jump', '↓ 2 new messages');
  assert.equal(await ana.page.title(), `(2) #${room} · Tertulia`);
  assert.equal(await place(), 'number 1');
  await ana.page.locator('#jump').click();
  await ana.hears('number 702');
  const mark = ana.page.locator('.mark');
  assert.equal(await mark.textContent(), 'New messages');
  assert.match(await mark.locator('xpath=..').textContent(), /number 701/);
  assert.equal(await ana.page.locator('#jump').isVisible(), false);

  await until('scrolling up and down again ends at the newest', async () => {
    await scroller.evaluate((node) => node.scrollTo(0, 0));
    return (await place()) === 'number 1';
  });
  await until('the newest is shown again', async () => {
    await scroller.evaluate((node) => node.scrollTo(0, node.scrollHeight));
    return (await ana.texts()).at(-1) === 'number 702';
  });
  const texts = await ana.texts();
  assert.deepEqual(texts, numbers(703 - texts.length, 702));
});

test('what is being read stays where it is while older ones come above it', async () => {
  const room = fresh();
  const ana = await stage.person(node.url, 'Ana', room);
  await crowd(ana.page, room, 1, 200);
  await ana.hears('number 200');
  await ana.page.reload();
  await ana.hears('number 200');
  const count = (await ana.texts()).length;
  const read = await ana.page.locator('#scroller').evaluate((node) => {
    node.scrollTop = 600;
    const edge = node.getBoundingClientRect().top;
    const li = [...node.querySelectorAll('#messages .message')].find((li) => li.getBoundingClientRect().top > edge);
    return { seq: li.dataset.seq, top: li.getBoundingClientRect().top };
  });
  await until('older ones came', async () => (await ana.texts()).length > count);
  const top = await ana.page.locator(`[data-seq="${read.seq}"]`).evaluate((li) => li.getBoundingClientRect().top);
  assert.ok(Math.abs(top - read.top) < 2, `from ${read.top} to ${top}`);
});

test('rooms are apart, and the address says which one it is', async () => {
  const [tea, wine] = [fresh(), fresh()];
  const [ana, ben] = [await stage.person(node.url, 'Ana', tea), await stage.person(node.url, 'Ben', wine)];
  await ana.says('only tea');
  await ben.says('only wine');
  await ana.page.locator('#room-name').fill(wine);
  await ana.page.locator('#room-name').press('Enter');
  await ana.hears('only wine');
  assert.deepEqual(await ana.texts(), ['only wine']);
  await ben.is('#count', '2 here');
  await ana.page.goBack();
  await ana.hears('only tea');
  assert.deepEqual(await ana.texts(), ['only tea']);
  await ben.is('#count', 'only you here');
  await ana.page.locator('#rooms a', { hasText: wine }).click();
  await ana.hears('only wine');
});

test('what people write is text: names, words and rooms', async () => {
  const payload = '<img src=x onerror=alert(1)><script>alert(2)</script>';
  const room = fresh();
  const eve = await stage.person(node.url, '<b onclick=alert(3)>Eve</b>', room);
  const ana = await stage.person(node.url, 'Ana', room);
  await eve.says(payload);
  await eve.says('javascript:alert(4) data:text/html,x');
  await ana.hears('javascript:alert(4) data:text/html,x');
  await ana.heardOnce(payload);
  await ana.is('.head bdi', '<b onclick=alert(3)>Eve</b>');
  await ana.seesWriting(eve, '<b onclick=alert(3)>Eve</b> is writing…');
  assert.equal(await ana.page.locator('#messages :is(img, script, b, a)').count(), 0);

  await ana.page.evaluate((hash) => (location.hash = hash), encodeURIComponent(payload));
  await until('the page says that this is no room', async () => (await ana.page.locator('#beginning').textContent()).includes(payload));
  assert.equal(await ana.page.locator('#room img').count(), 0);
  assert.equal(await ana.box.isVisible(), false);
});

test('web addresses become links, and only they do', async () => {
  const ana = await stage.person(node.url, 'Ana', fresh());
  await ana.writes('see https://example.org/a_(b), http://example.org/?q=1&r=<x> and ftp://example.org.');
  const links = ana.page.locator('#messages .text a');
  await links.nth(1).waitFor();
  assert.deepEqual(await links.evaluateAll((all) => all.map((a) => a.href)), ['https://example.org/a_(b)', 'http://example.org/?q=1&r=']);
  assert.equal(await links.first().getAttribute('rel'), 'noopener noreferrer');
});

test('it speaks Spanish to those who prefer it', async () => {
  const page = await stage.page({ locale: 'es-MX' });
  await page.goto(`${node.url}/#${fresh()}`);
  assert.equal(await page.locator('html').getAttribute('lang'), 'es-MX');
  await page.getByLabel('Tu nombre').fill('Ana');
  await page.getByRole('button', { name: 'Entrar' }).click();
  const ana = new Person(page, 'Ana');
  await ana.isIn();
  await ana.is('#count', 'solo estás tú');
});

test('a screen reader hears new messages of others, and nothing else', async () => {
  const room = fresh();
  const ana = await stage.person(node.url, 'Ana', room);
  await ana.says('old');
  const ben = await stage.person(node.url, 'Ben', room);
  await ben.says('my own');
  await ana.says('news');
  await ben.is('#said', 'Ana: news');
  const log = ben.page.getByRole('log', { name: 'New messages' });
  assert.equal(await log.getAttribute('aria-live'), 'polite');
});

for (const [device, size] of [['desk', DESK], ['phone', PHONE]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`it is accessible and fits: ${device}, ${colorScheme}`, async () => {
      const room = `books-${device}-${colorScheme}`;
      const page = await stage.page({ ...size, colorScheme, reducedMotion: 'reduce' });
      await page.goto(`${node.url}/#${room}`);
      await page.locator('#name').waitFor();
      await isAccessible(page);
      await picture(page, `${device}-${colorScheme}-name`);
      await page.locator('#name').fill('Ana María');
      await page.locator('#name').press('Enter');
      const ana = new Person(page, 'Ana');
      await ana.isIn();
      await isAccessible(page);
      await picture(page, `${device}-${colorScheme}-empty`);

      const [ben, cleo] = [await stage.person(node.url, 'Ben', room), await stage.person(node.url, 'Cleo', room)];
      await ana.says('Good evening, all. Has anybody read the last chapter already?');
      await ben.says('Last night. I could not stop.');
      await ben.says(
        'The part where she comes back to the harbour and nobody recognises her: three pages without a single adjective, and by the end of them you know exactly what the house smells of.',
      );
      await cleo.says('I am only half way through');
      await cleo.says('so no spoilers, please :)');
      await ana.says('Promised.');
      await ana.writes('For whoever joins later: https://example.org/books/harbour has the text, and the map inside the cover is worth a look.');
      await ana.hears('For whoever joins later: ');
      await ben.says('I liked the map better');
      await ben.says('Sorry, that was nonsense');
      await ben.message('nonsense').hover();
      await ben.message('nonsense').locator('.delete').click();
      await ben.page.locator('#sure-yes').click();
      await ana.says('Thursday at seven works');
      await ana.box.press('ArrowUp');
      await isAccessible(page);
      await ana.writes('Thursday at seven works for me. I bring the biscuits.');
      await page.locator('.mine .edited').waitFor();
      await page.locator('.deleted').waitFor();
      await ana.seesWriting(cleo, 'Cleo is writing…');
      await picture(page, `${device}-${colorScheme}-chat`);
      await isAccessible(page);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), size.viewport.width);
      assert.equal(await page.evaluate(() => document.scrollingElement.scrollHeight), size.viewport.height);
      if (device === 'phone') {
        await page.locator('#open-side').click();
        await page.locator('#rooms').waitFor();
        await isAccessible(page);
        await picture(page, `${device}-${colorScheme}-rooms`);
      }
    });
  }
}

async function isAccessible(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`), []);
}

test('two pages on two nodes of a cluster are in one room', async () => {
  const room = fresh();
  const [ana, ben] = [await stage.person(cluster[0], 'Ana', room), await stage.person(cluster[1], 'Ben', room)];
  await ana.is('#count', '2 here');
  await ben.is('#count', '2 here');
  await ana.seesWriting(ben, 'Ben is writing…');
  await ana.says('from one node');
  await ben.hears('from one node');
  await ben.says('from the other');
  await ana.hears('from the other');
  await ana.box.press('ArrowUp');
  await ana.writes('from the first node');
  await ben.hears('from the first node');
  await ben.message('from the other').hover();
  await ben.message('from the other').locator('.delete').click();
  await ben.page.locator('#sure-yes').click();
  await ana.page.locator('.deleted').waitFor();
  assert.deepEqual(await ana.texts(), ['from the first node', 'message deleted']);
  assert.deepEqual(await ben.texts(), await ana.texts());
});
