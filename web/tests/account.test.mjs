// The account's page in a real browser: sign up, sign in, sign out, and ending what one does not know, on two nodes of a cluster.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import axe from 'axe-core';
import { DESK, PHONE, Person, picture, required, Stage, until } from './stage.mjs';

const cluster = required('TERTULIA_URLS').split(',').map((url) => url.trim().replace(/\/$/, ''));
const PASSWORD = 'a long password';

let stage;
let people = 0;
const fresh = () => `Ana ${process.pid} ${Date.now()} ${(people += 1)}`;

before(async () => (stage = await Stage.open()));
afterEach(() => stage.clear());
after(() => stage?.close());

async function filled(page, name, password) {
  await page.locator('#name').fill(name);
  await page.locator('#password').fill(password);
  await page.locator('#go').click();
}

/** Somebody who comes by the account's page into the rooms. */
async function signedIn(url, name, { isNew = false, password = PASSWORD, ...options } = {}) {
  const page = await stage.page(options);
  await page.goto(`${url}/account/`);
  if (isNew) await page.locator('#other-way').click();
  await filled(page, name, password);
  const person = new Person(page, name);
  await person.isIn();
  return person;
}

const says = (page, selector, words) =>
  until(`${selector} says “${words}”`, async () => (await page.locator(selector).textContent()).includes(words));

test('an account is the same person on every node, and no guest can have its name', async () => {
  const name = fresh();
  const ana = await signedIn(cluster[0], name, { isNew: true });
  await ana.says(`good evening from ${name}`);
  const again = await signedIn(cluster[1], name.toUpperCase());
  await again.hears(`good evening from ${name}`);
  assert.equal(await again.message(`good evening from ${name}`).evaluate((li) => li.classList.contains('mine')), true);
  await again.page.reload(); // by the cookie alone
  await again.isIn();
  assert.equal(await again.page.evaluate(() => document.cookie), '', 'no script reads the session');

  const guest = await stage.page();
  await guest.goto(cluster[1]);
  await guest.locator('#name').fill(name.toLowerCase());
  await guest.locator('#name').press('Enter');
  await says(guest, '#name-error', 'somebody’s account');
});

test('a wrong password, a taken name and a short password are told apart from what is right', async () => {
  const name = fresh();
  await signedIn(cluster[0], name, { isNew: true });
  const page = await stage.page();
  await page.goto(`${cluster[0]}/account/`);
  await filled(page, name, 'another password');
  await says(page, '#problem', 'do not match');
  await page.locator('#other-way').click();
  await filled(page, name, PASSWORD);
  await says(page, '#problem', 'somebody’s already');
  await page.locator('#password').fill('short');
  assert.equal(await page.locator('#password').evaluate((input) => input.validity.tooShort), true);
});

test('what is signed out from afar is out at once, and may come back as a guest', async () => {
  const name = fresh();
  const ana = await signedIn(cluster[0], name, { isNew: true });
  const lost = await signedIn(cluster[1], name);
  await ana.page.goto(`${cluster[0]}/account/`);
  await until('both sessions are shown', async () => (await ana.page.locator('#sessions li').count()) === 2);
  await ana.page.locator('#sessions button').click();
  await lost.page.locator('#door:not([hidden])').waitFor();
  await until('one is left', async () => (await ana.page.locator('#sessions li').count()) === 1);
  await lost.page.locator('#name').fill('Somebody else');
  await until('the dead cookie is gone', async () => {
    await lost.page.locator('#name').press('Enter').catch(() => {});
    return lost.page.locator('#state[data-state="open"]').isVisible();
  });
});

test('another password ends all other sessions, and signing out this one', async () => {
  const name = fresh();
  const ana = await signedIn(cluster[0], name, { isNew: true });
  const other = await signedIn(cluster[1], name);
  const { page } = ana;
  await page.goto(`${cluster[0]}/account/`);
  await page.locator('#old').fill(PASSWORD);
  await page.locator('#new').fill('another long password');
  await page.locator('#new-password button').click();
  await says(page, '#notice', 'is changed');
  await other.page.locator('#door:not([hidden])').waitFor();
  await page.locator('#sign-out').click();
  await says(page, '#notice', 'signed out');
  await filled(page, name, 'another long password');
  await ana.isIn();
});

for (const [device, size] of Object.entries({ phone: PHONE, desk: DESK })) {
  for (const colorScheme of ['light', 'dark']) {
    test(`it is accessible and fits: ${device}, ${colorScheme}`, async () => {
      const name = fresh();
      const page = await stage.page({ ...size, colorScheme, bypassCSP: true });
      await page.goto(`${cluster[0]}/account/`);
      await looksWell(page, `${device}-${colorScheme}-sign-in`, size);
      await page.locator('#other-way').click();
      await looksWell(page, `${device}-${colorScheme}-sign-up`, size);
      await filled(page, name, PASSWORD);
      await new Person(page, name).isIn();
      await page.goto(`${cluster[0]}/account/`);
      await page.locator('#sessions li').waitFor();
      await looksWell(page, `${device}-${colorScheme}-account`, size);
    });
  }
}

async function looksWell(page, name, size) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`), []);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), size.viewport.width);
  await picture(page, name);
}
