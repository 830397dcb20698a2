import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { loadConfig, showConfig } from '../../src/config.ts';
import { ALIASES } from '../../src/config/schema.ts';
import type { TuttiError } from '../../src/core/errors.ts';
import { SEED_PROPERTIES } from '../server/seed-list.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tutti-config-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const load = (text: string, env: Record<string, string> = {}) => {
  writeFileSync(join(cwd, 'c.toml'), text);
  return loadConfig({ cwd, env, file: 'c.toml' });
};
const refused = (fn: () => unknown, message: RegExp, field: string): void => {
  assert.throws(fn, (e: TuttiError) => {
    assert.deepEqual([e.code, e.field], ['INVALID_CONFIG', field]);
    assert.match(e.message, message);
    return true;
  });
};

const [[ENABLE, ENABLE_KEY], [ORPHANS, ORPHANS_KEY]] = SEED_PROPERTIES;

test('the properties of the seed are there under our names, with the defaults of the seed', () => {
  assert.deepEqual(
    ALIASES.map((a) => [a.name, a.path]),
    SEED_PROPERTIES.map(([name, path]) => [name, path]),
  );
  const shown = new Map(showConfig(load('')).map((k) => [k.path, k.value]));
  for (const [, path, otherwise] of SEED_PROPERTIES) assert.equal(shown.get(path), otherwise, path);
  assert.deepEqual(load('').config.plans, {
    enabled: true,
    poll_interval_seconds: 10,
    orphan_cleanup_interval_seconds: 28_800,
    retention_days: 30,
    retention_max_count: 10_000,
    max_disk_percent: 90,
    max_memory_percent: 90,
    max_inbox_saturation: 0.8,
  });
});

test('each property is accepted by its own name: quoted, nested, half and half, as text, and as a variable', () => {
  for (const text of [
    `"${ENABLE}" = false\n"${ORPHANS}" = 60`,
    `${ENABLE} = false\n${ORPHANS} = 60`,
    '[controller.startree.task.manager]\nenableTaskOrchestration = false\norphanedTaskPlanCleanupIntervalInSeconds = 60',
    '[controller.startree]\n"task.manager.enableTaskOrchestration" = "false"\n"task.manager.orphanedTaskPlanCleanupIntervalInSeconds" = "60"',
  ]) {
    const loaded = load(text);
    assert.deepEqual([loaded.config.plans.enabled, loaded.config.plans.orphan_cleanup_interval_seconds], [false, 60], text);
    assert.deepEqual(loaded.sources.get(ENABLE_KEY), { kind: 'file', name: 'c.toml' });
    const shown = showConfig(loaded).map((k) => k.path);
    assert.ok(shown.includes(ENABLE_KEY) && !shown.some((p) => p.startsWith('controller')), 'shown under our name');
  }
  const { config, sources } = load(`"${ENABLE}" = true`, { [ENABLE]: 'false', [ORPHANS]: '61' });
  assert.deepEqual([config.plans.enabled, config.plans.orphan_cleanup_interval_seconds], [false, 61], 'a later layer wins under whichever name');
  assert.deepEqual(sources.get(ORPHANS_KEY), { kind: 'variable', name: ORPHANS });
});

test('[plans], [plans.resources] and [orchestration.plans.resources] say what [orchestration.plans] says', () => {
  for (const text of [
    '[plans]\npoll_interval_seconds = 3\n[plans.resources]\nmax_disk_percent = 80\nmax_inbox_saturation = 0.5',
    '[orchestration.plans]\npoll_interval_seconds = 3\n[orchestration.plans.resources]\nmax_disk_percent = 80\nmax_inbox_saturation = 0.5',
    '[orchestration.plans]\npoll_interval_seconds = 3\nmax_disk_percent = 80\nmax_inbox_saturation = 0.5',
  ]) {
    const { plans } = load(text).config;
    assert.deepEqual([plans.poll_interval_seconds, plans.max_disk_percent, plans.max_inbox_saturation, plans.max_memory_percent], [3, 80, 0.5, 90], text);
  }
});

test('one key under two names, unknown names and values out of range are refused', () => {
  for (const [text, message, field] of [
    [`"${ENABLE}" = true\n[orchestration.plans]\nenabled = true`, /orchestration\.plans\.enabled and controller\..* set the same key/, ENABLE_KEY],
    ['[plans]\nenabled = true\n[orchestration.plans]\nenabled = true', /plans\.enabled and plans\.enabled set/, ENABLE_KEY],
    ['[plans]\nmax_disk_percent = 1\n[plans.resources]\nmax_disk_percent = 1', /set the same key/, 'plans.resources.max_disk_percent'],
    [`"${ENABLE}s" = true`, /unknown key .*Did you mean controller\.startree\.task\.manager\.enableTaskOrchestration\?/, `${ENABLE}s`],
    ['[controller]\nport = 1', /unknown key controller\.port/, 'controller.port'],
    ['controller = 1', /unknown key controller\./, 'controller'],
    [`"${ENABLE}" = "maybe"`, /must be true or false, not "maybe"/, ENABLE],
    [`"${ORPHANS}" = 0`, /must be between 1 and/, ORPHANS],
    ['[plans.resources]\nenabled = true', /unknown key plans\.resources\.enabled/, 'plans.resources.enabled'],
    ['[plans]\nresources = 1', /unknown key plans\.resources/, 'plans.resources'],
    ['plans = 1', /unknown key plans\. Did you mean \[orchestration\.plans\]\?/, 'plans'],
    ['[plans]\nenable = true', /Did you mean enabled\?/, 'plans.enable'],
    ['[plans.resources]\nmax_inbox_saturation = 1.5', /must be between 0 and 1, not 1\.5/, 'plans.resources.max_inbox_saturation'],
    ['[plans.resources]\nmax_inbox_saturation = nan', /must be a number/, 'plans.resources.max_inbox_saturation'],
    ['[plans]\nmax_inbox_saturation = "0.5"', /must be a number, not "0\.5"/, 'plans.max_inbox_saturation'],
  ] as const) {
    refused(() => load(text), message, field);
  }
  refused(() => load('', { [ENABLE]: 'true', TUTTI_PLANS_ENABLED: 'true' }), /set the same key/, ENABLE);
  refused(() => load('', { [ORPHANS]: 'x' }), /must be a whole number/, ORPHANS);
  refused(() => load('', { TUTTI_PLANS_MAX_INBOX_SATURATION: '80%' }), /must be a number/, 'TUTTI_PLANS_MAX_INBOX_SATURATION');
  assert.equal(load('', { TUTTI_PLANS_MAX_INBOX_SATURATION: '.5' }).config.plans.max_inbox_saturation, 0.5);
});
