// What holds for the files as they lie there: small, self-contained, and complete in every language.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../', import.meta.url);
const files = readdirSync(folder).filter((name) => /\.(html|css|js|svg)$/.test(name));
const read = (name) => readFileSync(new URL(name, folder), 'utf8');

test('all files together stay below 64 000 bytes', () => {
  const bytes = files.reduce((sum, name) => sum + readFileSync(new URL(name, folder)).length, 0);
  assert.ok(bytes < 64_000, `${bytes} bytes`);
});

test('nothing comes from elsewhere, and nothing is inline', () => {
  const page = read('index.html');
  assert.doesNotMatch(page, /<style|style=|<script(?![^>]+src=)| on[a-z]+=/);
  for (const [, address] of page.matchAll(/(?:src|href)="([^"]+)"/g)) assert.ok(files.includes(address.slice(1)), address);
  for (const name of files) {
    const text = read(name).replace('http://www.w3.org/2000/svg', '');
    assert.doesNotMatch(text, /https?:\/\/\w/, name);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/, name);
    for (const [, path] of text.matchAll(/from '\.\/([^']+)'/g)) assert.ok(files.includes(path), `${name}: ${path}`);
  }
});

test('every language says everything, and everything that the page asks for', async () => {
  const spoken = {};
  for (const tag of ['en', 'es']) {
    Object.defineProperty(globalThis, 'navigator', { value: { languages: [tag] }, configurable: true });
    spoken[tag] = (await import(`../strings.js?${tag}`)).say;
  }
  const keys = (words) => [...Object.keys(words), ...Object.keys(words.errors).map((code) => `errors.${code}`)].sort();
  assert.deepEqual(keys(spoken.es), keys(spoken.en));
  const asked = [
    ...read('index.html').matchAll(/data-(?:say|label|hint|do)="(\w+)"/g),
    ...(read('app.js') + read('view.js')).matchAll(/\bsay\.(\w+)/g),
  ].map(([, key]) => key);
  const unused = Object.keys(spoken.en).filter((key) => !asked.includes(key));
  assert.deepEqual(asked.filter((key) => !(key in spoken.en)), []);
  assert.deepEqual(unused.filter((key) => !['retry', 'discard', 'errors'].includes(key)), []);
});
