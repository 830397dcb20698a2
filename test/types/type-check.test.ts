import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');
const dir = mkdtempSync(path.join(tmpdir(), 'tutti-types-'));
/** Relative, as the compiler wants imports that it is to rewrite. */
const source = path.relative(dir, path.join(root, 'src/sdk')).replaceAll('\\', '/');
after(() => rmSync(dir, { recursive: true, force: true }));

/** Compiles files with the pinned compiler and the project's own settings. */
function compile(name: string, files: string[]): Promise<{ code: number; output: string }> {
  const project = path.join(dir, `${name}.json`);
  const typeRoots = [path.join(root, 'node_modules/@types')];
  writeFileSync(project, JSON.stringify({ extends: path.join(root, 'tsconfig.json'), compilerOptions: { typeRoots }, files, include: [] }));
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  return new Promise((done) => {
    execFile(process.execPath, [tsc, '-p', project, '--extendedDiagnostics', '--pretty', 'false'], { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

/** Steps of five fields; every third takes its neighbours as optional, the others wait for the one to three steps before. */
function hundredSteps(count: number): string {
  const lines = [
    `import { template } from '${source}/template.ts';`,
    `import type { Tutti } from '${source}/tutti.ts';`,
    'declare const tutti: Tutti;',
    "const big = template<{ n: number }>('bench/hundred@1.0.0')",
  ];
  for (let i = 0; i < count; i++) {
    const fields = `{ id: 's${i}', n: input.n + ${i}, at: new Date(0), tags: ['a', 'b'], inner: { ok: input.n > ${i}, size: ${i} }`;
    const deps = [i - 1, i - 2, i - 7].filter((d) => d >= 0);
    if (deps.length === 0) lines.push(`  .step('s${i}', async ({ input }) => (${fields} }))`);
    else if (i % 3 === 0) {
      const entries = deps.map((d, k) => `s${d}: '${k === 0 ? 'required' : 'optional'}'`).join(', ');
      const optional = deps.length > 1 ? `, last: results.s${deps[1]}.state === 'complete' ? results.s${deps[1]}.value.inner.size : 0` : '';
      lines.push(`  .step('s${i}', { after: { ${entries} } }, async ({ input, results }) => (${fields}, prev: results.s${deps[0]}.inner.ok${optional} }))`);
    } else {
      const names = deps.map((d) => `'s${d}'`).join(', ');
      lines.push(
        `  .step('s${i}', { after: [${names}], retry: { maxAttempts: 2 } }, async ({ input, results }) => (${fields}, prev: results.s${deps[0]}.at.length }))`,
      );
    }
  }
  lines[lines.length - 1] += ';';
  lines.push('const task = await tutti.submit(big, { n: 1 });', 'const result = await task.result();');
  lines.push(`export const size: number = result.s${count - 1}.inner.size;`);
  lines.push('// @ts-expect-error not an earlier step, so that this test can fail', `big.step('x', { after: { s5: 'required', nope: 'optional' } }, () => 1);`);
  return lines.join('\n');
}

test('type tests compile, and every error they expect is one', async () => {
  const files = globSync('test/types/*.ts', { cwd: root })
    .filter((f) => !f.endsWith('.test.ts'))
    .map((f) => path.join(root, f));
  assert.ok(files.length >= 3);
  const { code, output } = await compile('type-tests', files);
  assert.equal(code, 0, output);
});

test('a template of 100 steps with optional edges and results of five fields checks in under a second', async () => {
  const file = path.join(dir, 'hundred.ts');
  writeFileSync(file, hundredSteps(100));
  writeFileSync(path.join(dir, 'package.json'), '{"type":"module"}');
  // The machine may be busy: the best of five is what the types cost.
  let best = Infinity;
  for (let run = 0; run < 5 && best >= 1; run++) {
    const { code, output } = await compile('hundred', [file]);
    assert.equal(code, 0, output.slice(0, 4000));
    best = Math.min(best, Number(/^Check time:\s+([\d.]+)s/m.exec(output)?.[1] ?? Infinity));
  }
  assert.ok(best < 1, `checking took ${best} s`);
});

/** Every tenth step a decision of two branches, after whose steps the next one joins; the rest in a chain. */
function hundredBranching(count: number): string {
  const lines = [
    `import { template } from '${source}/template.ts';`,
    `import { to } from '${source}/branches.ts';`,
    "const big = template<{ n: number }>('bench/branching@1.0.0').step('s0', async ({ input }) => ({ n: input.n, at: new Date(0), tags: ['a'] }))",
  ];
  for (let i = 1; i < count; i++) {
    const result = `{ n: (results.s${i - 1}?.n ?? 0) + 1, at: new Date(0), tags: ['a'], inner: { ok: input.n > ${i} } }`;
    if (i % 10 !== 0) lines.push(`  .step('s${i}', { after: ['s${i - 1}'] }, async ({ input, results }) => (${result}))`);
    else {
      const branch = (name: string): string => `${name}: (b) => b.step('${name}${i}', { after: ['s${i - 1}'] }, async ({ input, results }) => (${result}))`;
      lines.push(
        `  .decision('d${i}', { after: ['s${i - 1}'] }, { x: ${branch('x').slice(3)}, y: ${branch('y').slice(3)} }, ({ input }) => input.n > 3 ? to('x') : to('y'))`,
      );
      lines.push(
        `  .step('s${i}', { after: { x${i}: 'required', y${i}: 'optional' } }, async ({ input, results }) => ({ n: results.x${i}?.n ?? (results.y${i}.state === 'complete' ? results.y${i}.value.n : input.n), at: new Date(0) }))`,
      );
    }
  }
  lines[lines.length - 1] += ';';
  lines.push(`big.step('end', { after: ['s${count - 1}', 'x10'] }, ({ results }) => {`);
  lines.push(
    '  // @ts-expect-error it may not be taken, so that this test can fail',
    '  void results.x10.n;',
    `  return results.s${count - 1}?.n ?? 0;`,
    '});',
  );
  return lines.join('\n');
}

test('a template of 100 steps, each tenth of them a decision of two branches, checks in under a second', async () => {
  const file = path.join(dir, 'branching.ts');
  writeFileSync(file, hundredBranching(100));
  let best = Infinity;
  for (let run = 0; run < 5 && best >= 1; run++) {
    const { code, output } = await compile('branching', [file]);
    assert.equal(code, 0, output.slice(0, 4000));
    best = Math.min(best, Number(/^Check time:\s+([\d.]+)s/m.exec(output)?.[1] ?? Infinity));
  }
  assert.ok(best < 1, `checking took ${best} s`);
});

test('the compiler refuses what the types forbid', async () => {
  const file = path.join(dir, 'bad.ts');
  writeFileSync(
    file,
    `import { template } from '${source}/template.ts';\ntemplate('a/b@1.0.0').step('a', () => 1).step('b', { after: ['zz'] }, () => new Map());\n`,
  );
  const { code, output } = await compile('bad', [file]);
  assert.notEqual(code, 0);
  assert.match(output, /bad\.ts\(2,/);
});
