// Programs beside the tests: what they print, line by line.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { guest, required, until } from './people.mjs';

export const PYTHON = required('TERTULIA_PYTHON');
export const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

export function program(command, ...args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const lines = [];
  let trouble = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.on('data', (data) => (trouble += data));
  const gone = once(child, 'exit');
  return guest({
    lines,
    say: (line) => child.stdin.write(`${line}\n`),
    prints: (what, is) =>
      until(`it prints ${what}`, () => {
        if (child.exitCode !== null && !lines.some(is)) throw new Error(`it left: ${trouble}`);
        return lines.some(is);
      }).catch((error) => {
        throw new Error(`${error.message}; it printed: ${lines.join(' | ')} ${trouble}`);
      }),
    ends: async () => {
      child.stdin.end();
      await gone;
      return [child.exitCode, trouble];
    },
    close: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  });
}
