// What holds for the files as they lie there: small, self-contained, and complete in every language.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../', import.meta.url);
const inside = (name) => readdirSync(new URL(name, folder)).filter((file) => /\.(html|css|js|svg)$/.test(file));
const chat = inside('.');
const files = [...chat, ...inside('account/').map((name) => `account/${name}`)];
const read = (name) => readFileSync(new URL(name, folder), 'utf8');

test('the files of the chat page together stay below 60 KiB', () => {
  const bytes = chat.reduce((sum, name) => sum + readFileSync(new URL(name, folder)).length, 0);
  assert.ok(bytes < 60 * 1024, `${bytes} bytes`);
});

test('nothing comes from elsewhere, and nothing is inline', () => {
  for (const page of ['index.html', 'account/index.html'].map(read)) {
    assert.doesNotMatch(page, /<style|style=|<script(?![^>]+src=)| on[a-z]+=/);
    for (const [, address] of page.matchAll(/(?:src|href)="\/([^"]*)"/g)) {
      assert.ok(files.includes(address.replace(/^$|\/$/, '$&index.html')), address);
    }
  }
  for (const name of files) {
    const text = read(name).replace('http://www.w3.org/2000/svg', '');
    assert.doesNotMatch(text, /https?:\/\/\w/, name);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/, name);
    for (const [, path] of text.matchAll(/from '(\.[^']+)'/g)) {
      const found = new URL(path, new URL(name, 'file:///')).pathname.slice(1);
      assert.ok(files.includes(found), `${name}: ${path}`);
    }
  }
});

const keys = (words) => [...Object.keys(words), ...Object.keys(words.errors).map((code) => `errors.${code}`)].sort();

/** What a page asks for is said, and what is said is asked for, but for what is asked for by a name that is made. */
function saysWhatIsAsked(words, page, scripts, made) {
  const asked = [
    ...read(page).matchAll(/data-(?:say|label|hint|do)="(\w+)"/g),
    ...scripts.map(read).join('').matchAll(/\bsay\.(\w+)/g),
  ].map(([, key]) => key);
  const unused = Object.keys(words).filter((key) => !asked.includes(key) && !made.includes(key));
  assert.deepEqual([asked.filter((key) => !(key in words)), unused], [[], []]);
}

test('every language says everything, and everything that the page asks for', async () => {
  const spoken = {};
  for (const tag of ['en', 'es']) {
    Object.defineProperty(globalThis, 'navigator', { value: { languages: [tag] }, configurable: true });
    spoken[tag] = (await import(`../strings.js?${tag}`)).say;
  }
  assert.deepEqual(keys(spoken.es), keys(spoken.en));
  saysWhatIsAsked(spoken.en, 'index.html', ['app.js', 'view.js'], ['retry', 'discard', 'errors']);
});

test('so does the page of the account', async () => {
  const { words } = await import('../account/strings.js');
  assert.deepEqual(keys(words.es), keys(words.en));
  saysWhatIsAsked(words.en, 'account/index.html', ['account/account.js'], []);
});
