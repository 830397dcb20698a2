/** What a start does not need is not loaded: it would be paid for by every start, in time and in memory. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BIN, cli, ROOT, scratch, Spawned } from './cli-harness.ts';

/** Writes the addresses of all modules that were loaded into a file, when the process ends. */
const NOTE_MODULES = `data:text/javascript,${encodeURIComponent(`
  import { writeFileSync } from 'node:fs';
  import { registerHooks } from 'node:module';
  const loaded = new Set();
  registerHooks({ load(url, context, next) { loaded.add(url); return next(url, context); } });
  process.on('exit', () => writeFileSync(process.env.NOTED, JSON.stringify([...loaded])));
`)}`;

/** Names of npm packages, and files of src/ by their paths there. */
const noted = (file: string): { packages: Set<string>; sources: string[] } => {
  const urls = JSON.parse(readFileSync(file, 'utf8')) as string[];
  const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []);
  return { packages: new Set(packages), sources: urls.flatMap((url) => /\/src\/([^?]+\.ts)$/.exec(url)?.[1] ?? []) };
};

test('serve: neither other commands, nor the pages of /docs, nor compilers of schemas, nor DuckDB', async (t) => {
  const cwd = scratch(t);
  const file = join(cwd, 'loaded.json');
  const env = { NOTED: file };
  const server = new Spawned(['--import', NOTE_MODULES, BIN, 'serve', '--port', '0', '--store', ':memory:'], { cwd, env });
  const [, url] = await server.until(/serving on (http:\/\/\S+)/);
  assert.equal((await fetch(`${url}/health/ready`)).status, 200);
  server.kill('SIGTERM');
  assert.equal(await server.ended(), 0, server.err);

  const { packages, sources } = noted(file);
  assert.ok(packages.has('fastify') && packages.has('commander'), 'modules are noted');
  const surplus = [
    'ajv',
    '@fastify/swagger',
    '@fastify/swagger-ui',
    '@fastify/ajv-compiler',
    '@fastify/fast-json-stringify-compiler',
    'yaml',
    '@duckdb/node-api',
  ];
  assert.deepEqual(
    surplus.filter((name) => packages.has(name)),
    [],
  );
  assert.deepEqual(
    sources.filter((s) => s.startsWith('cli/commands/')),
    ['cli/commands/serve.ts'],
  );
});

test('Tutti.open: nothing of server and command line; of tables only their doors where there are none', async (t) => {
  const cwd = scratch(t);
  const file = join(cwd, 'loaded.json');
  writeFileSync(
    join(cwd, 'open.mjs'),
    `const { Tutti } = await import(${JSON.stringify(join(ROOT, 'src/main.ts'))});
     await (await Tutti.open({ store: ':memory:', tables: false })).close();`,
  );
  const ran = new Spawned(['--import', NOTE_MODULES, join(cwd, 'open.mjs')], { cwd, env: { NOTED: file } });
  assert.equal(await ran.ended(), 0, ran.err);

  const { packages, sources } = noted(file);
  assert.ok(packages.has('croner') && sources.includes('open.ts'), 'modules are noted');
  const surplus = ['ajv', 'yaml', 'zod', 'fastify', 'pino', 'commander', 'smol-toml', '@duckdb/node-api'];
  assert.deepEqual(
    surplus.filter((name) => packages.has(name)),
    [],
  );
  assert.deepEqual(
    sources.filter((s) => /^(server|cli|contract|config\.ts)/.test(s)),
    [],
  );
  assert.deepEqual(sources.filter((s) => s.startsWith('tables/')).sort(), ['tables/table-options.ts', 'tables/tables.ts']);
});

test('every command that the help lists is found when it alone is loaded', async () => {
  const { out } = await cli(['--help']);
  const names = [...out.slice(out.indexOf('\nCommands:')).matchAll(/^ {2}(\w+) /gm)].map((m) => m[1]).filter((n) => n !== 'help');
  assert.ok(names.includes('serve') && names.includes('config'), out);
  for (const name of names) {
    const ran = await cli([name, '--help']);
    assert.equal(ran.code, 0, name);
    assert.match(ran.out, new RegExp(`^Usage: tutti ${name}\\b`));
  }
});

test('options before the command, and words like its name behind it, are not taken for it', async () => {
  const before = await cli(['--api-key', 'plan', '--url', 'http://127.0.0.1:1', 'ls']);
  assert.equal(before.code, 4, before.err);
  const typo = await cli(['shw', 'ls']);
  assert.match(typo.err, /unknown command 'shw'[^]*Did you mean show/);
});
