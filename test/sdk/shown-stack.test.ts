/** What a stack says to whoever may read a task: which code failed, and nothing about where on the machine it lies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shownStack } from '../../src/sdk/worker/shown-stack.ts';
import { failureOf } from '../../src/sdk/worker/attempt-failure.ts';

const CASES: [what: string, frame: string, shown: string, home?: string][] = [
  ['below the working folder', 'at pay (file:///srv/shop/steps/pay.ts:5:75)', 'at pay (steps/pay.ts:5:75)'],
  ['in it', 'at pay (/srv/shop/pay.js:5:75)', 'at pay (pay.js:5:75)'],
  ['without a name', 'at file:///srv/shop/a/b.ts:1:2', 'at a/b.ts:1:2'],
  ['async without a name', 'at async file:///srv/shop/a/b.ts:1:2', 'at async a/b.ts:1:2'],
  ['beside it', 'at async Shop.pay (file:///srv/shop2/pay.ts:1:2)', 'at async Shop.pay (pay.ts:1:2)'],
  ['a package elsewhere', 'at z (file:///usr/lib/node_modules/tutti/dist/x.js:1:2)', 'at z (node_modules/tutti/dist/x.js:1:2)'],
  ['a package in it', 'at z (file:///srv/shop/node_modules/z/x.js:1:2)', 'at z (node_modules/z/x.js:1:2)'],
  [
    'of Node itself',
    'at process.processTicksAndRejections (node:internal/process/task_queues:104:5)',
    'at process.processTicksAndRejections (node:internal/process/task_queues:104:5)',
  ],
  ['no file', 'at async Promise.all (index 0)', 'at async Promise.all (index 0)'],
  ['evaluated', 'at eval (eval at run (/opt/x/y.js:3:5), <anonymous>:1:1)', 'at eval (eval at run (y.js:3:5), <anonymous>:1:1)'],
  ['with a space', 'at f (/home/my user/x.js:1:2)', 'at f (x.js:1:2)'],
  ['with a space, as URL, below', 'at f (file:///home/my%20user/a/x.js:1:2)', 'at f (a/x.js:1:2)', '/home/my user'],
  ['of Windows', 'at f (C:\\shop\\a\\x.js:1:2)', 'at f (a/x.js:1:2)', 'C:\\shop'],
  ['of Windows, as URL', 'at f (file:///C:/shop/a/x.js:1:2)', 'at f (a/x.js:1:2)', 'C:\\shop'],
  ['a working folder that is the root', 'at f (/x/y.js:1:2)', 'at f (y.js:1:2)', '/'],
  ['a working folder that is a drive', 'at f (D:\\x\\y.js:1:2)', 'at f (y.js:1:2)', 'D:\\'],
];

for (const [what, frame, shown, home = '/srv/shop'] of CASES) {
  test(`a frame ${what}`, () => assert.equal(shownStack(`Error: no\n    ${frame}`, home), `Error: no\n    ${shown}`));
}

test('a failed attempt keeps a stack without the folders of this machine', () => {
  const outcome = failureOf(new Error('no'), 0);
  assert.ok(!outcome.ok && outcome.error.stack !== undefined);
  assert.match(outcome.error.stack, /^Error: no\n {4}at .*test\/sdk\/shown-stack\.test\.ts:\d+:\d+/);
  assert.doesNotMatch(outcome.error.stack, /file:|\(\//);
  assert.equal(outcome.error.stack.includes(process.cwd()), false);
});

test('a message of any length is read no further than is kept', () => {
  const outcome = failureOf(new Error('x'.repeat(3_000_000)), 0);
  assert.ok(!outcome.ok && outcome.error.stack!.length === 2000);
});
