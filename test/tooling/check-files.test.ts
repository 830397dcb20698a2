import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFiles } from '../../scripts/check-files.ts';
import { plantTree } from './planted-tree.ts';

const findingsOf = (file: string, text = 'export const a = 1;\n'): string[] => {
  using tree = plantTree({ [file]: text });
  return checkFiles(tree.root).map((f) => `${f.severity}: ${f.message}`);
};
const lines = (n: number) => 'export {};\n'.repeat(n);
/** Assembled here, so that this file does not break the habits it tests. */
const inTest = (code: string) => findingsOf('test/core/a.test.ts', `${code}\n`);

test('names that say nothing are refused', () => {
  for (const name of ['utils', 'helpers', 'common', 'types', 'lib', 'index', 'misc']) assert.match(findingsOf(`src/core/${name}.ts`)[0], /says nothing/);
});

test('names are in kebab-case', () => {
  assert.match(findingsOf('src/core/taskStates.ts')[0], /kebab-case/);
  assert.match(findingsOf('src/core/task_states.ts')[0], /kebab-case/);
  assert.deepEqual(findingsOf('src/core/task-states.ts'), []);
  assert.deepEqual(findingsOf('test/conformance/store.suite.ts'), []);
});

test('length warns past 400 lines and fails past 800', () => {
  assert.deepEqual(findingsOf('src/core/a.ts', lines(400)), []);
  assert.match(findingsOf('src/core/a.ts', lines(401))[0], /^warning: has 401 lines/);
  assert.match(findingsOf('src/core/a.ts', lines(801))[0], /^error: has 801 lines/);
  assert.match(findingsOf('test/core/a.test.ts', lines(801))[0], /^warning/);
});

test('a narrowed run is refused', () => {
  assert.match(inTest("test.only('x', () => {});")[0], /narrows the run/);
  assert.match(inTest("test('x', { only: true }, () => {});")[0], /narrows the run/);
});

test('a skip needs a reason', () => {
  assert.match(inTest("test('x', { skip: true }, () => {});")[0], /without a reason/);
  assert.match(inTest("test.skip('x', () => {});")[0], /without a reason/);
  assert.match(inTest("test('x', (t) => t.skip());")[0], /without a reason/);
  assert.deepEqual(inTest("test('x', { skip: 'only with --soak' }, () => {});"), []);
  assert.deepEqual(inTest("test('x', (t) => t.skip('no such signal on this platform'));"), []);
});

test('a test that waits for time to pass is refused, unless it says why', () => {
  assert.match(inTest('await sleep(100);')[0], /wait for a signal/);
  assert.match(inTest('await new Promise((resolve) => setTimeout(resolve, 5));')[0], /wait for a signal/);
  assert.match(inTest('await setTimeout(5);')[0], /wait for a signal/);
  assert.deepEqual(inTest('await sleep(100); // guard-ok: the moment of the kill is what is random'), []);
  assert.deepEqual(inTest('// guard-ok: the moment of the kill is what is random\nawait sleep(100);'), []);
  assert.deepEqual(inTest('// sleep(1) would be wrong here\nexport {};'), []);
});
