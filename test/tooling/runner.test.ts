/** scripts/test.ts and scripts/build.ts, each run in a small tree of its own: what a newcomer's first two commands rest on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { plantTree } from './planted-tree.ts';

const root = path.resolve(import.meta.dirname, '../..');
const script = (name: string): string => readFileSync(path.join(root, 'scripts', name), 'utf8');

/** Runs a script of the tree; a runner inside a runner must not know of the outer one. */
function run(dir: string, name: string, ...args: string[]): { status: number | null; output: string } {
  const { NODE_TEST_CONTEXT: _outer, TUTTI_SOAK: _soak, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(dir, 'scripts', name), ...args], { encoding: 'utf8', env, cwd: dir });
  return { status, output: stdout + stderr };
}

describe('npm test', () => {
  const runTests = (files: Record<string, string>, ...args: string[]) => {
    using tree = plantTree({ 'scripts/test.ts': script('test.ts'), 'package.json': '{ "type": "module" }', ...files });
    return run(tree.root, 'test.ts', ...args);
  };
  const PASSING = "import { test } from 'node:test';\ntest('good', () => {});\ntest('later', { skip: 'needs the moon' }, () => {});\n";
  const FAILING = "import { test } from 'node:test';\ntest('bad', () => { throw new Error('no'); });\n";

  test('passes, prints why tests were skipped, and ends with the lines of Node', () => {
    const { status, output } = runTests({ 'test/a.test.ts': PASSING });
    assert.equal(status, 0, output);
    assert.match(output, /test\/a\.test\.ts: later: needs the moon/);
    assert.match(output, /tests 2\n[^]*pass 1\n[^]*fail 0\n[^]*skipped 1\n/);
  });

  test('fails when a test fails', () => assert.equal(runTests({ 'test/a.test.ts': PASSING, 'src/b.test.ts': FAILING }).status, 1));
  test('fails when a file cannot be loaded', () => assert.equal(runTests({ 'test/a.test.ts': PASSING, 'test/b.test.ts': "import './gone.ts';\n" }).status, 1));
  test('fails when there are no tests', () => assert.equal(runTests({}).status, 1));
  test('fails when no test ran', () => {
    const { status, output } = runTests({ 'test/a.test.ts': 'export {};\n' });
    assert.equal(status, 1);
    assert.match(output, /no test ran/);
  });

  test('takes parts of paths as filters', () => {
    const files = { 'test/a.test.ts': PASSING, 'test/b.test.ts': FAILING };
    assert.equal(runTests(files, 'a.test').status, 0);
    assert.equal(runTests(files, 'b.test').status, 1);
    assert.match(runTests(files, 'nothing').output, /no test file matches nothing/);
  });

  test('tells tests of --soak', () => {
    const soaked = "import { test } from 'node:test';\ntest('long', () => { if (process.env.TUTTI_SOAK !== '1') throw new Error('short'); });\n";
    assert.equal(runTests({ 'test/a.test.ts': soaked }).status, 1);
    assert.equal(runTests({ 'test/a.test.ts': soaked }, '--soak').status, 0);
  });
});

describe('npm run build', () => {
  const PACKAGE = {
    'scripts/build.ts': script('build.ts'),
    'package.json': JSON.stringify({ name: 'p', type: 'module', bin: { p: 'dist/cli/main.js' } }),
    'tsconfig.json': readFileSync(path.join(root, 'tsconfig.json'), 'utf8'),
    'tsconfig.build.json': readFileSync(path.join(root, 'tsconfig.build.json'), 'utf8'),
    'src/main.ts': 'export const answer: number = 42;\n',
    'src/cli/main.ts': "import { answer } from '../main.ts';\nconsole.log(answer);\n",
    'dist/gone.js': '// of a source that is no longer there\n',
  };

  test('is skipped, and says why, where the compiler is not installed', () => {
    using tree = plantTree(PACKAGE);
    const { status, output } = run(tree.root, 'build.ts');
    assert.equal(status, 0);
    assert.match(output, /skipped, typescript is not installed/);
  });

  test('makes dist/ with an executable command and nothing of the past', () => {
    using tree = plantTree(PACKAGE);
    symlinkSync(path.join(root, 'node_modules'), path.join(tree.root, 'node_modules'));
    const { status, output } = run(tree.root, 'build.ts');
    assert.equal(status, 0, output);
    const command = path.join(tree.root, 'dist/cli/main.js');
    assert.match(readFileSync(command, 'utf8'), /^#!\/usr\/bin\/env node\nimport \{ answer \} from '\.\.\/main\.js';/);
    accessSync(command, constants.X_OK);
    assert.equal(spawnSync(process.execPath, [command], { encoding: 'utf8' }).stdout.trim(), '42');
    assert.throws(() => accessSync(path.join(tree.root, 'dist/gone.js')));
  });

  test('fails on a type error', () => {
    using tree = plantTree({ ...PACKAGE, 'src/main.ts': "export const answer: number = 'no';\n" });
    symlinkSync(path.join(root, 'node_modules'), path.join(tree.root, 'node_modules'));
    const { status, output } = run(tree.root, 'build.ts');
    assert.notEqual(status, 0);
    assert.match(output, /src\/main\.ts/);
  });
});
