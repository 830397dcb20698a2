/** The guard is only worth something if it catches what it is for: every rule is shown a violation, and the nearest thing that is allowed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { checkLayers, EXEMPTIONS } from '../../scripts/check-layers.ts';
import { scanSource } from '../../scripts/scan-source.ts';
import { plantTree } from './planted-tree.ts';

/** A small tree in which everything is where it belongs. */
const SOUND = {
  'src/core/retry.ts': 'export const retryAt = (now: number): number => now + 1000;\n',
  'src/store/store.ts': "import { retryAt } from '../core/retry.ts';\nexport interface Store { at: ReturnType<typeof retryAt> }\n",
  'src/store/sqlite/open.ts':
    "import { DatabaseSync } from 'node:sqlite';\nimport type { Store } from '../store.ts';\nexport const open = (db: DatabaseSync): Store => ({ at: db ? 1 : 2 });\n",
  'src/bus/bus.ts': 'export interface Bus { wake(): void }\n',
  'src/engine/facade.ts': 'export interface EngineFacade { stop(): void }\n',
  'src/engine/views.ts': 'export interface TaskView { id: string }\n',
  'src/engine/worker-port.ts': 'export interface WorkerPort { close(): void }\n',
  'src/engine/engine.ts':
    "import type { Store } from '../store/store.ts';\nimport type { EngineFacade } from './facade.ts';\nexport const engine = (s: Store): EngineFacade => ({ stop: () => void s });\n",
  'src/contract/routes.ts': "import { z } from 'zod';\nexport const id = z.uuid();\n",
  'src/server/http/app.ts':
    "import type { EngineFacade } from '../../engine/facade.ts';\nimport { id } from '../../contract/routes.ts';\nexport const app = (e: EngineFacade): unknown => [e, id];\n",
  'src/sdk/tutti.ts': "import type { WorkerPort } from '../engine/worker-port.ts';\nexport const tutti = (w: WorkerPort): void => w.close();\n",
  'src/cli/serve.ts': "import { now } from '../main.ts';\nexport const serve = (): number => now();\n",
  'src/main.ts': "import './store/sqlite/open.ts';\nexport { tutti } from './sdk/tutti.ts';\nexport const now = (): number => Date.now();\n",
};

/** Problems of the sound tree with one file added or replaced, as `file: message`. */
function problemsWith(name: string, text: string): string[] {
  using tree = plantTree({ ...SOUND, [name]: text });
  return checkLayers(tree.root, []).map((p) => `${p.file}:${p.line}: ${p.message}`);
}

function caught(what: string, file: string, text: string, expected: RegExp): void {
  test(what, () => {
    const problems = problemsWith(file, text);
    assert.equal(problems.length, 1, `expected one problem, got:\n${problems.join('\n')}`);
    assert.match(problems[0], expected);
  });
}

function allowed(what: string, file: string, text: string): void {
  test(what, () => assert.deepEqual(problemsWith(file, text), []));
}

test('a sound tree has no problems', () => {
  using tree = plantTree(SOUND);
  assert.deepEqual(checkLayers(tree.root, []), []);
});

test('the sources of this repository are in order', () => {
  const problems = checkLayers(path.resolve(import.meta.dirname, '../..'));
  assert.deepEqual(
    problems.map((p) => `${p.file}:${p.line}: ${p.message}`),
    [],
  );
});

test('the naive model shares nothing with what it is compared with', () => {
  const model = readFileSync(path.resolve(import.meta.dirname, '../properties/naive-model.ts'), 'utf8');
  assert.deepEqual(
    scanSource(model).imports.filter((i) => i.specifier.includes('src/')),
    [],
  );
});

test('every exemption says why', () => {
  for (const e of EXEMPTIONS) assert.ok(e.reason.length > 20, `${e.file} is exempt for ${e.uses} without a reason`);
});

describe('direction', () => {
  caught(
    'core imports a store',
    'src/core/bad.ts',
    "import type { Store } from '../store/store.ts';\nexport type S = Store;\n",
    /^src\/core\/bad\.ts:1: core may not import store/,
  );
  caught('core imports a package', 'src/core/bad.ts', "import { z } from 'zod';\nexport const s = z;\n", /core may not import the package zod/);
  caught('core imports node', 'src/core/bad.ts', "import { join } from 'node:path';\nexport const s = join;\n", /core may not import node:path/);
  caught(
    'node is imported without its prefix',
    'src/engine/bad.ts',
    "import { join } from 'fs/promises';\nexport const s = join;\n",
    /writes fs\/promises without the node: prefix/,
  );
  caught(
    'the store interface imports a driver',
    'src/store/bad.ts',
    "import { open } from './sqlite/open.ts';\nexport const o = open;\n",
    /store may not import driver/,
  );
  caught(
    'one driver imports another',
    'src/store/postgres/bad.ts',
    "import { open } from '../sqlite/open.ts';\nexport const o = open;\n",
    /driver may not import driver/,
  );
  caught(
    'engine imports a driver',
    'src/engine/bad.ts',
    "import { open } from '../store/sqlite/open.ts';\nexport const o = open;\n",
    /engine may not import driver/,
  );
  caught('engine imports a driver later', 'src/engine/bad.ts', "export const o = () => import('../store/sqlite/open.ts');\n", /engine may not import driver/);
  caught(
    'engine imports the contract',
    'src/engine/bad.ts',
    "import { id } from '../contract/routes.ts';\nexport const o = id;\n",
    /engine may not import contract/,
  );
  caught(
    'engine imports sdk',
    'src/engine/bad.ts',
    "import type { tutti } from '../sdk/tutti.ts';\nexport type T = typeof tutti;\n",
    /engine may not import sdk/,
  );
  caught(
    'server imports more of the engine than the facade',
    'src/server/bad.ts',
    "import { engine } from '../engine/engine.ts';\nexport const o = engine;\n",
    /server may not import engine/,
  );
  caught(
    'server imports the store interface',
    'src/server/bad.ts',
    "import type { Store } from '../store/store.ts';\nexport type O = Store;\n",
    /server may not import store/,
  );
  caught('sdk imports the server', 'src/sdk/bad.ts', "import { app } from '../server/http/app.ts';\nexport const o = app;\n", /sdk may not import server/);
  caught('sdk imports the engine', 'src/sdk/bad.ts', "import { engine } from '../engine/engine.ts';\nexport const o = engine;\n", /sdk may not import engine/);
  caught('cli imports a driver', 'src/cli/bad.ts', "import { open } from '../store/sqlite/open.ts';\nexport const o = open;\n", /cli may not import driver/);
  caught(
    'contract imports server',
    'src/contract/bad.ts',
    "import { app } from '../server/http/app.ts';\nexport const o = app;\n",
    /contract may not import server/,
  );
  caught('a file lies in no layer', 'src/tools/bad.ts', 'export const a = 1;\n', /belongs to no layer/);
  caught('an import leaves src', 'src/main.ts', "import '../scripts/build.ts';\nexport const now = (): number => 1;\n", /outside src/);
  caught('an import names nothing', 'src/engine/bad.ts', "import { a } from './gone.ts';\nexport const b = a;\n", /which does not exist/);
  caught(
    'an import over several lines',
    'src/sdk/bad.ts',
    "import {\n  engine,\n} from '../engine/engine.ts';\nexport const o = engine;\n",
    /sdk may not import engine/,
  );
  allowed(
    'sdk imports the facade and the views',
    'src/sdk/good.ts',
    "import type { EngineFacade } from '../engine/facade.ts';\nimport type { TaskView } from '../engine/views.ts';\nexport type T = [EngineFacade, TaskView];\n",
  );
  allowed(
    'an import in a comment or a string is none',
    'src/core/good.ts',
    "// import { z } from 'zod'\nexport const s = \"import { z } from 'zod'\";\nexport const t = `import x from 'y' ${s}`;\n",
  );
  allowed(
    'tests beside the source import what they like',
    'src/core/retry.test.ts',
    "import { test } from 'node:test';\nimport { engine } from '../engine/engine.ts';\ntest('x', () => void engine);\n",
  );
});

describe('cycles', () => {
  test('a cycle of three is told with its way', () => {
    using tree = plantTree({
      ...SOUND,
      'src/core/a.ts': "import { b } from './b.ts';\nexport const a = (): unknown => b;\n",
      'src/core/b.ts': "import { c } from './c.ts';\nexport const b = (): unknown => c;\n",
      'src/core/c.ts': "import { a } from './a.ts';\nexport const c = (): unknown => a;\n",
    });
    const problems = checkLayers(tree.root, []);
    assert.equal(problems.length, 1);
    assert.match(problems[0].message, /src\/core\/b\.ts -> src\/core\/c\.ts -> src\/core\/a\.ts/);
  });
  test('types may refer to each other', () => {
    using tree = plantTree({
      ...SOUND,
      'src/core/a.ts': "import { b } from './b.ts';\nexport const a = b;\nexport type A = number;\n",
      'src/core/b.ts': "import type { A } from './a.ts';\nexport const b: A = 1;\n",
    });
    assert.deepEqual(checkLayers(tree.root, []), []);
  });
});

describe('purity (I12)', () => {
  const IMPURE: [what: string, text: string][] = [
    ['Date.now', 'export const a = Date.now();'],
    ['new Date()', 'export const a = new Date();'],
    ['performance', 'export const a = performance.now();'],
    ['Math.random', 'export const a = Math.random();'],
    ['crypto', 'export const a = crypto.randomUUID();'],
    ['setTimeout', 'export const a = setTimeout(() => {}, 1);'],
    ['setInterval', 'export const a = setInterval;'],
    ['AbortSignal.timeout', 'export const a = AbortSignal.timeout(5);'],
    ['process.env', "export const a = process.env['HOME'];"],
    ['process.hrtime', 'export const a = process.hrtime.bigint();'],
    ['code inside a template literal', 'export const a = `at ${Date.now()}`;'],
  ];
  for (const [what, text] of IMPURE) {
    caught(`core: ${what}`, 'src/core/bad.ts', `${text}\n`, /core is pure \(I12\)|core may not/);
    caught(`engine: ${what}`, 'src/engine/bad.ts', `${text}\n`, /must be injected \(I12\)/);
    allowed(`cli may: ${what}`, 'src/cli/good.ts', `${text}\n`);
  }
  caught(
    'a timer from its module',
    'src/server/bad.ts',
    "import { setTimeout as wait } from 'node:timers/promises';\nexport const a = wait;\n",
    /takes timers from node:timers\/promises/,
  );
  caught(
    'randomness from its module',
    'src/sdk/bad.ts',
    "import { createHash, randomUUID } from 'node:crypto';\nexport const a = [createHash, randomUUID];\n",
    /takes randomUUID from node:crypto/,
  );
  caught('the clock in core, even with an argument', 'src/core/bad.ts', 'export const a = new Date(5);\n', /uses Date/);
  caught('the console in core', 'src/core/bad.ts', "console.log('x');\nexport {};\n", /uses console/);
  allowed('a hash is no randomness', 'src/sdk/good.ts', "import { createHash } from 'node:crypto';\nexport const a = createHash('sha256');\n");
  allowed('a date made of a number reads no clock', 'src/server/good.ts', 'export const iso = (at: number): string => new Date(at).toISOString();\n');
  allowed('a clock that was given', 'src/engine/good.ts', 'export const a = (clock: { performance: { now(): number } }): number => clock.performance.now();\n');
  allowed('words in comments', 'src/core/good.ts', '/** Never Date.now() nor Math.random(). */\nexport const a = 1;\n');

  test('an exemption lets its one use pass and nothing else', () => {
    using tree = plantTree({ ...SOUND, 'src/engine/bad.ts': 'export const a = Date.now() + Math.random();\n' });
    const problems = checkLayers(tree.root, [{ file: 'src/engine/bad.ts', uses: 'Date', reason: 'for this test' }]);
    assert.deepEqual(
      problems.map((p) => p.message),
      ['uses Math.random; it must be injected (I12)'],
    );
  });

  test('an exemption that nothing needs is a problem', () => {
    using tree = plantTree(SOUND);
    const problems = checkLayers(tree.root, [{ file: 'src/engine/engine.ts', uses: 'Date', reason: 'for this test' }]);
    assert.match(problems[0].message, /remove the exemption/);
  });
});

describe('exports', () => {
  caught('a default export', 'src/core/bad.ts', 'export default 1;\n', /default export/);
  caught('a barrel', 'src/sdk/bad.ts', "export * from './tutti.ts';\n", /re-exports \.\/tutti\.ts/);
  caught('a named re-export', 'src/sdk/bad.ts', "export { tutti } from './tutti.ts';\n", /re-exports/);
  caught('a barrel of types', 'src/sdk/bad.ts', "export type * from './tutti.ts';\n", /re-exports/);
  allowed(
    'the type of what a function returns',
    'src/sdk/good.ts',
    "import { tutti } from './tutti.ts';\nexport type { WorkerPort } from '../engine/worker-port.ts';\nexport const t = tutti;\n",
  );
  caught('a seam for tests', 'src/engine/bad.ts', 'export const o = { __test__delay: 1 };\n', /seam for tests/);
  allowed('a file that exports what it declares', 'src/sdk/good.ts', 'const a = 1;\nexport { a };\n');
});

test('the command prints file and line and exits with 1', () => {
  using tree = plantTree({ ...SOUND, 'src/core/bad.ts': "export const ok = 1;\nimport 'node:fs';\n" });
  const script = path.resolve(import.meta.dirname, '../../scripts/check-layers.ts');
  const { status, stderr } = spawnSync(process.execPath, [script, tree.root], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /src\/core\/bad\.ts:2: core may not import node:fs/);
});
