import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { checkExposure, folderRoots, loadConfig, showConfig } from '../../src/config.ts';
import { KEYS } from '../../src/config/schema.ts';
import type { TuttiError } from '../../src/core/errors.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tutti-config-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const write = (path: string, text: string): void => {
  mkdirSync(join(cwd, path, '..'), { recursive: true });
  writeFileSync(join(cwd, path), text);
};
const load = (o: Parameters<typeof loadConfig>[0] = {}) => loadConfig({ cwd, env: {}, ...o });
const refused = (fn: () => unknown, message: RegExp, field?: string): void => {
  assert.throws(fn, (e: TuttiError) => {
    assert.equal(e.code, 'INVALID_CONFIG');
    assert.match(e.message, message);
    if (field !== undefined) assert.equal(e.field, field);
    return true;
  });
};

/** The block of the seed, as it stands there. */
const SEED_BLOCK = `[orchestration.web]
enabled = true
host = "0.0.0.0"
port = 8080

[orchestration.grpc]
enabled = true
port = 9190

[orchestration.actors]
task_request_channel_size = 1000
result_processor_channel_size = 2000
step_enqueuer_channel_size = 1000
task_finalizer_channel_size = 500
`;

test('without any file the defaults apply, and the record is deeply frozen', () => {
  const { config, sources, environment } = load();
  assert.equal(environment, 'development');
  assert.deepEqual(config.web, { enabled: true, host: '127.0.0.1', port: 8080, api_keys: [] });
  assert.deepEqual(config.grpc, { enabled: false, port: 9190 });
  assert.deepEqual(config.actors, {
    task_request_channel_size: 1000,
    result_processor_channel_size: 2000,
    step_enqueuer_channel_size: 1000,
    task_finalizer_channel_size: 500,
  });
  assert.equal(config.worker.slots, 50);
  assert.equal(config.shutdown.drain_seconds, 30);
  for (const key of KEYS) assert.deepEqual(sources.get(key.path), { kind: 'default', name: '' }, key.path);
  assert.throws(() => Object.assign(config.web, { port: 1 }), TypeError);
  assert.throws(() => (config.web.api_keys as string[]).push('k'), TypeError);
  assert.throws(() => Object.assign(config, { web: null }), TypeError);
});

test('the block of the seed loads whole; only starting on its host without a key is refused', () => {
  write('config/tutti/base/orchestration.toml', SEED_BLOCK);
  const { config } = load();
  assert.equal(config.web.host, '0.0.0.0');
  assert.deepEqual(config.grpc, { enabled: true, port: 9190 });
  refused(() => checkExposure(config.web), /0\.0\.0\.0.*no API key/, 'orchestration.web.host');
  checkExposure({ ...config.web, api_keys: ['k'] });
});

test('later layers win key by key: defaults, base, environment, --config, variables, flags', () => {
  write(
    'config/tutti/base/orchestration.toml',
    '[orchestration.web]\nport = 1\nhost = "10.0.0.1"\n[orchestration.worker]\nslots = 11\n[orchestration.turn]\nmax_ms = 5\n[orchestration.log]\nlevel = "warn"',
  );
  write(
    'config/tutti/environments/prod/orchestration.toml',
    '[orchestration.web]\nport = 2\n[orchestration.worker]\nslots = 12\n[orchestration.turn]\nmax_ms = 6\n',
  );
  write('mine.toml', '[orchestration.web]\nport = 3\n[orchestration.worker]\nslots = 13\n');
  const { config, sources, files } = load({
    file: 'mine.toml',
    env: { TUTTI_ENV: 'prod', TUTTI_WEB_PORT: '4', TUTTI_WORKER_SLOTS: '14' },
    flags: [{ path: 'orchestration.web.port', flag: '--port', text: '5' }],
  });
  assert.deepEqual(
    [config.web.port, config.worker.slots, config.turn.max_ms, config.web.host, config.log.level, config.turn.max_rows],
    [5, 14, 6, '10.0.0.1', 'warn', 1024],
  );
  assert.deepEqual(sources.get('orchestration.web.port'), { kind: 'flag', name: '--port' });
  assert.deepEqual(sources.get('orchestration.worker.slots'), { kind: 'variable', name: 'TUTTI_WORKER_SLOTS' });
  assert.deepEqual(sources.get('orchestration.turn.max_ms'), { kind: 'file', name: 'config/tutti/environments/prod/orchestration.toml' });
  assert.deepEqual(sources.get('orchestration.web.host'), { kind: 'file', name: 'config/tutti/base/orchestration.toml' });
  assert.deepEqual(sources.get('orchestration.turn.max_rows'), { kind: 'default', name: '' });
  assert.equal(files.length, 3);
  // Without the variable, --config is what counts.
  assert.equal(load({ file: 'mine.toml', env: { TUTTI_ENV: 'prod' } }).config.web.port, 3);
});

test('unknown keys, sections and tables are refused with file, path and the nearest name', () => {
  const cases: [string, RegExp, string][] = [
    ['[orchestration.web]\nprot = 1', /^c\.toml: unknown key orchestration\.web\.prot\. Did you mean port\?$/, 'orchestration.web.prot'],
    ['[orchestration.actors]\ntask_requests_channel_size = 1', /Did you mean task_request_channel_size\?/, 'orchestration.actors.task_requests_channel_size'],
    ['[orchestration.wbe]\nport = 1', /unknown section \[orchestration\.wbe\]\. Did you mean \[orchestration\.web\]\?/, 'orchestration.wbe'],
    ['[web]\nport = 1', /unknown key web\. Did you mean \[orchestration\.web\]\?/, 'web'],
    ['[orchestraton.web]\nport = 1', /Did you mean \[orchestration\.…\]\?/, 'orchestraton'],
    ['[orchestration.web]\nslots = 1', /Did you mean orchestration\.worker\.slots\?/, 'orchestration.web.slots'],
    ['[orchestration.web]\nzzzzzzzz = 1', /unknown key orchestration\.web\.zzzzzzzz\.$/, 'orchestration.web.zzzzzzzz'],
    ['[orchestration.web]\nconstructor = 1', /unknown key orchestration\.web\.constructor/, 'orchestration.web.constructor'],
    ['[orchestration.toString]\na = 1', /unknown section \[orchestration\.toString\]/, 'orchestration.toString'],
  ];
  for (const [text, message, field] of cases) {
    write('c.toml', text);
    refused(() => load({ file: 'c.toml' }), message, field);
  }
});

test('wrong types and ranges are refused, in files and in variables', () => {
  const cases: [string, RegExp][] = [
    ['[orchestration.web]\nport = "8080"', /orchestration\.web\.port must be a whole number, not "8080"/],
    ['[orchestration.web]\nport = 65536', /must be between 0 and 65535, not 65536/],
    ['[orchestration.web]\nport = -1', /between 0 and 65535/],
    ['[orchestration.web]\nport = 80.5', /whole number, not 80\.5/],
    ['[orchestration.web]\nenabled = 1', /must be true or false, not 1/],
    ['[orchestration.web]\nhost = ""', /must not be empty/],
    ['[orchestration.web]\nhost = "a b"', /neither an IP address nor a host name/],
    ['[orchestration.web]\nhost = 2026-01-01', /must be a string/],
    ['[orchestration.web]\napi_keys = ["a", 1]', /list of strings/],
    ['[orchestration.web]\napi_keys = [""]', /must not hold an empty string/],
    ['[orchestration.log]\nlevel = "loud"', /must be one of silent, fatal/],
    ['[orchestration.actors]\ntask_request_channel_size = 0', /between 1 and/],
    ['[orchestration]\nweb = 1', /orchestration\.web must be a table/],
    ['orchestration = 1', /orchestration must be a table/],
    ['[orchestration.web\nport = 1', /^c\.toml:1:\d+: not valid TOML/],
  ];
  for (const [text, message] of cases) {
    write('c.toml', text);
    refused(() => load({ file: 'c.toml' }), message);
  }
  refused(() => load({ env: { TUTTI_WEB_PORT: 'http' } }), /variable TUTTI_WEB_PORT \(orchestration\.web\.port\) must be a whole number/, 'TUTTI_WEB_PORT');
  refused(() => load({ env: { TUTTI_WEB_ENABLED: 'maybe' } }), /must be true or false/, 'TUTTI_WEB_ENABLED');
  refused(() => load({ env: { TUTTI_WEB_PROT: '1' } }), /unknown variable TUTTI_WEB_PROT\. Did you mean TUTTI_WEB_PORT\?/, 'TUTTI_WEB_PROT');
  refused(() => load({ env: { TUTTI_API_KEYS: 'k' } }), /Did you mean TUTTI_API_KEY\?/, 'TUTTI_API_KEYS');
  refused(() => load({ env: { TUTTI_API_KEY: '' } }), /TUTTI_API_KEY is empty/, 'TUTTI_API_KEY');
  refused(() => load({ env: { TUTTI_ENV: '../x' } }), /TUTTI_ENV must be a name/, 'TUTTI_ENV');
  refused(() => load({ file: 'missing.toml' }), /missing\.toml: there is no such file/, '--config');
  refused(() => load({ flags: [{ path: 'orchestration.web.port', flag: '--port', text: '99999' }] }), /^--port \(orchestration\.web\.port\) must be between/);
});

test('a message never shows a secret', () => {
  write('c.toml', '[orchestration.web]\napi_keys = "hunter2"');
  assert.throws(
    () => load({ file: 'c.toml' }),
    (e: Error) => !e.message.includes('hunter2') && /list of strings/.test(e.message),
  );
});

test('every key has a variable, and setting it reaches the record', () => {
  const names = new Set<string>();
  for (const key of KEYS) {
    assert.ok(!names.has(key.variable), `${key.variable} stands for two keys`);
    names.add(key.variable);
    const f = key.field;
    const [text, value] =
      f.type === 'boolean'
        ? [String(!f.default), !f.default]
        : f.type === 'integer' || f.type === 'number'
          ? [String(f.max), f.max]
          : f.type === 'choice'
            ? [f.values[0], f.values[0]]
            : f.type === 'list'
              ? ['a, b', ['a', 'b']]
              : key.name === 'duckdb_memory'
                ? ['2GB', '2GB']
                : ['other', 'other'];
    const { config, sources } = load({ env: { [key.variable]: text as string } });
    assert.deepEqual((config as unknown as Record<string, Record<string, unknown>>)[key.section][key.name], value, key.path);
    assert.deepEqual(sources.get(key.path), { kind: 'variable', name: key.variable });
  }
});

test('TUTTI_API_KEY is one key beside TUTTI_WEB_API_KEYS, and shown configuration masks both', () => {
  assert.deepEqual(load({ env: { TUTTI_API_KEY: 'one' } }).config.web.api_keys, ['one']);
  const loaded = load({ env: { TUTTI_API_KEY: 'one', TUTTI_WEB_API_KEYS: 'two,one' } });
  assert.deepEqual([...loaded.config.web.api_keys].sort(), ['one', 'two']);
  const shown = showConfig(loaded);
  assert.equal(shown.length, KEYS.length);
  assert.deepEqual(shown.find((k) => k.path === 'orchestration.web.api_keys')?.value, ['***', '***']);
  assert.ok(!JSON.stringify(shown).includes('"one"'));
});

test('loopback hosts need no key; any other does', () => {
  for (const host of ['127.0.0.1', '127.8.9.1', 'localhost', '::1']) checkExposure({ host, api_keys: [] });
  for (const host of ['0.0.0.0', '::', '10.1.2.3', 'example.org', '127.evil.org']) refused(() => checkExposure({ host, api_keys: [] }), /no API key/);
});

test('tasks of a server that others can reach read and write below the folders that are named, and nowhere else; on loopback everywhere if none is', () => {
  const { web, tables } = load().config;
  const roots = (host: string, over: Partial<typeof tables> = {}, enabled = true): unknown => {
    const { inputRoots, outputRoots } = folderRoots({ web: { ...web, host, enabled }, tables: { ...tables, ...over } });
    return [inputRoots, outputRoots];
  };
  assert.deepEqual(roots('127.0.0.1'), [null, null]);
  assert.deepEqual(roots('0.0.0.0'), [[], []]);
  assert.deepEqual(roots('0.0.0.0', {}, false), [null, null], 'nobody can ask');
  assert.deepEqual(roots('0.0.0.0', { input_roots: ['/in'] }), [['/in'], []]);
  assert.deepEqual(roots('localhost', { output_roots: ['/out'] }), [null, ['/out']]);
});
