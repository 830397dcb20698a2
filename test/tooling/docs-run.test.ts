/** The code of the pages runs as a reader would run it, and prints what the pages say. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type DocBlock, type DocModule, blocksOf, difference, modulesOf } from './doc-blocks.ts';

const root = path.resolve(import.meta.dirname, '../..');
const PAGES = [
  'README.md',
  'docs/quickstart.md',
  'docs/faq.md',
  'docs/trees.md',
  'docs/children.md',
  'docs/decisions-and-batches.md',
  'docs/schedules.md',
  'docs/plans-generators.md',
  'docs/task-types.md',
  'docs/tables.md',
];
/** Pages whose commands are run; the commands of the others are about this repository or about files the reader has. */
const WITH_COMMANDS = new Set(['docs/quickstart.md', 'docs/trees.md']);
/** Longest run of one module, and of all commands of a page. */
const LIMIT_MS = 120_000;

const top = mkdtempSync(path.join(tmpdir(), 'tutti-docs-'));
after(() => rmSync(top, { recursive: true, force: true }));
mkdirSync(path.join(top, 'node_modules'));
mkdirSync(path.join(top, 'bin'));
for (const [name, target] of [['tutti', root], ...['zod', '@types'].map((n) => [n, path.join(root, 'node_modules', n)])]) {
  symlinkSync(target, path.join(top, 'node_modules', name), 'junction');
}
writeFileSync(path.join(top, 'package.json'), '{ "type": "module" }');
/** As after `npm i`, but for the package unbuilt; and the server stands where nobody else's does. */
writeFileSync(path.join(top, 'bin/npx'), '#!/bin/sh\nexec "$@"\n');
writeFileSync(path.join(top, 'bin/tutti'), `#!/bin/sh\nexec "${process.execPath}" "${root}/src/cli/main.ts" "$@"\n`);
for (const name of ['npx', 'tutti']) chmodSync(path.join(top, 'bin', name), 0o755);

const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TUTTI_') && name !== 'NODE_TEST_CONTEXT'));
const environment = {
  ...plain,
  NODE_OPTIONS: '--conditions=tutti-source --disable-warning=ExperimentalWarning',
  PATH: `${path.join(top, 'bin')}${path.delimiter}${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}`,
  NO_COLOR: '1',
};

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS });
    const ran: Ran = { code: null, out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => void (ran.out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => void (ran.err += text));
    child.on('error', (e) => void (ran.err += String(e)));
    child.on('close', (code) => done({ ...ran, code }));
  });
}

/** Says in the output where each block begins. */
const MARK = '\u0001';

/** Holds what was printed after each mark against what the page shows. */
function compare(page: string, blocks: readonly DocBlock[], { code, out, err }: Ran): void {
  const where = `${page}, from line ${blocks[0].line}`;
  assert.equal(code, 0, `${where}: exit code ${code}\n${err}\n${out.replaceAll(MARK, '')}`);
  const printed = new Map(
    out
      .split(MARK)
      .slice(1)
      .map((part) => [Number(/^\d+/.exec(part)?.[0]), part.slice(part.indexOf('\n') + 1)]),
  );
  for (const block of blocks) {
    if (block.shown === null) continue;
    const text = printed.get(block.line) ?? '';
    assert.equal(difference(block.shown, text), null, `${page}:${block.line} shows a line that it does not print here; it prints:\n${text}${err}`);
  }
}

const textOf = (module: DocModule): string =>
  module.named ? module.blocks[0].code : module.blocks.map((b) => `console.log('${MARK}${b.line}');\n${b.code}`).join('\n');

/** All commands of a page are one session. What serves is left running, on a port of its own, until the session ends. */
function sessionOf(blocks: readonly DocBlock[], port: number): string {
  const lines = ['set -e', 'trap \'[ -z "$server" ] || kill -9 $server\' EXIT'];
  for (const block of blocks) {
    lines.push(`echo '${MARK}${block.line}'`);
    for (const line of block.code.replaceAll(/(127\.0\.0\.1|localhost):8080/g, `127.0.0.1:${port}`).split('\n')) {
      if (!/^npx tutti (serve|dev)\b/.test(line)) lines.push(line);
      else lines.push(`{ ${line.replace(/ +#.*$/, '')} & } >server.log 2>&1`, 'server=$!', `node "${path.join(top, 'ready.mjs')}" ${port}`);
    }
  }
  return lines.join('\n');
}

writeFileSync(
  path.join(top, 'ready.mjs'),
  `const url = 'http://127.0.0.1:' + process.argv[2] + '/health/ready';
while (!(await fetch(url).then((r) => r.ok, () => false))) await new Promise((go) => setTimeout(go, 50));`,
);

const freePort = async (): Promise<number> => {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  const { port } = server.address() as { port: number };
  await new Promise((go) => server.close(go));
  return port;
};

const pages = PAGES.map((page) => {
  const dir = path.join(top, path.basename(page, '.md'));
  mkdirSync(dir);
  // A page that is missing has no code, and its test says so.
  const blocks = existsSync(path.join(root, page)) ? blocksOf(readFileSync(path.join(root, page), 'utf8')) : [];
  const modules = modulesOf(blocks);
  for (const module of modules) writeFileSync(path.join(dir, module.file), textOf(module));
  return { page, dir, blocks, modules };
});

for (const { page, dir, blocks, modules } of pages) {
  test(`the code of ${page} runs and prints what the page shows`, async () => {
    for (const block of blocks) assert.notEqual(block.noRun, '', `${page}:${block.line} is not run, and does not say why`);
    assert.ok(modules.length > 0, `${page} has no code`);
    for (const module of modules) {
      if (!module.named) compare(page, module.blocks, await run(process.execPath, [module.file], dir, environment));
    }
  });

  if (!WITH_COMMANDS.has(page)) continue;
  const commands = blocks.filter((b) => b.lang === 'sh' && b.noRun === null);
  test(`the commands of ${page} run and print what the page shows`, { skip: process.platform === 'win32' ? 'the commands are for sh' : false }, async (t) => {
    const wantsCurl = (b: DocBlock): boolean => /^curl\b|\(curl\b/m.test(b.code);
    const hasCurl = (await run('curl', ['--version'], dir, environment)).code === 0;
    if (!hasCurl) t.diagnostic('there is no curl here: what uses it is left out');
    const used = hasCurl ? commands : commands.filter((b) => !wantsCurl(b));
    for (const { file, named } of modules) assert.ok(!named || commands.some((b) => b.code.includes(file)), `no command of ${page} uses ${file}`);
    const port = await freePort();
    const env = { ...environment, TUTTI_WEB_PORT: String(port), TUTTI_URL: `http://127.0.0.1:${port}` };
    compare(page, used, await run('sh', ['-c', sessionOf(used, port)], dir, env));
  });
}

test('the code of all pages is free of type errors', async () => {
  writeFileSync(
    path.join(top, 'tsconfig.json'),
    JSON.stringify({
      extends: path.join(root, 'tsconfig.json'),
      compilerOptions: { typeRoots: [path.join(root, 'node_modules/@types')] },
      include: ['*/*.ts', 'broken.ts'],
    }),
  );
  writeFileSync(
    path.join(top, 'broken.ts'),
    "import { template } from 'tutti';\ntemplate('a/b@1.0.0').step('a', () => 1).step('b', { after: ['zz'] }, () => 2);\n",
  );
  const { out } = await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', top, '--pretty', 'false'], top, plain);
  // Those of the sources have a check of their own.
  const errors = out.split('\n').filter((line) => /^[\w-]+\/[\w-]+\.ts\(/.test(line));
  assert.deepEqual(errors, []);
  assert.match(out, /^broken\.ts\(/m, 'the compiler does not find the error that is there');
});

test('a page that shows what is not so is found out', async () => {
  const page = "```ts\nconsole.log('one', 17);\n```\n\nprints\n\n```text\nTWO 17\n```\n";
  const [block] = blocksOf(page);
  assert.equal(block.shown, 'TWO 17');
  assert.notEqual(difference(block.shown, 'one 17\n'), null);
  assert.equal(difference('one 17', 'one 17\n'), null);
  assert.equal(difference('a\n…\nd', 'a\nb\nc\nd\n'), null);
  assert.notEqual(difference('a\n…\ne', 'a\nb\n'), null);
  assert.notEqual(difference('a', 'a\nb\n'), null);
  assert.equal(difference('took 3 ms  ok', 'took 17.5 ms ok'), null);
  assert.throws(() => compare('page', [block], { code: 0, out: `${MARK}${block.line}\none 17\n`, err: '' }), /page:2/);
  assert.throws(() => compare('page', [block], { code: 1, out: '', err: 'it broke' }), /it broke/);
  const dir = path.join(top, 'broken');
  mkdirSync(dir);
  writeFileSync(path.join(dir, 'broken.ts'), "throw new Error('as written');");
  assert.notEqual((await run(process.execPath, ['broken.ts'], dir, environment)).code, 0);
});
