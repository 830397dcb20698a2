/** What `Tutti.open` is given and does not know is refused before anything is opened. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Tutti } from '../../src/main.ts';

const NO_PROC = existsSync('/proc/self') ? false : 'this system has no /proc';

const CASES: [given: unknown, field: string, message: RegExp][] = [
  [{ hooks: {} }, 'hooks', /^Tutti\.open: hooks is no option; there are store, templates, handlers, .*, logger$/],
  [{ handler: [] }, 'handler', /handler is no option; did you mean handlers\?$/],
  [{ retension: false }, 'retension', /did you mean retention\?$/],
  [{ retention: { maxage: '1d' } }, 'retention.maxage', /retention\.maxage is no option; did you mean retention\.maxAge\?$/],
  [{ retention: { interval: '1h' } }, 'retention.interval', /there are maxAge, maxCount$/],
  [{ retention: true }, 'retention', /^Tutti\.open: retention must be an object$/],
  [{ limits: { valueByte: 1 } }, 'limits.valueByte', /did you mean limits\.valueBytes\?$/],
  [{ limits: null }, 'limits', /limits must be an object$/],
  [{ limits: { contextBytes: -1 } }, 'limits.contextBytes', /^Tutti\.open: limits\.contextBytes must be a whole number, 1 or more, not -1$/],
  [{ limits: { valueBytes: '1MB' } }, 'limits.valueBytes', /not "1MB"$/],
  [{ limits: { treeElements: 1.5 } }, 'limits.treeElements', /not 1\.5$/],
  [{ limits: { treeBytes: Number.NaN } }, 'limits.treeBytes', /not NaN$/],
  [{ retention: { maxCount: -1 } }, 'retention.maxCount', /a whole number, 0 or more, not -1$/],
];

test('an option that there is not is refused by name, with the one that was probably meant', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-options-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = join(folder, 'tasks.db');
  for (const [given, field, message] of CASES) await assert.rejects(Tutti.open({ store, ...(given as object) }), { code: 'INVALID_INPUT', field, message });
  for (const none of [undefined, null, 'tasks.db', []])
    await assert.rejects(Tutti.open(none as never), { code: 'INVALID_INPUT', message: /the options must be an object/ });
  assert.equal(existsSync(store), false);
});

test('a folder that cannot be made is STORE_UNUSABLE, also where making it with all above it would never come back', { skip: NO_PROC }, async () => {
  for (const store of ['/proc/nope/x.db', '/proc/nope/deeper/x.db'])
    await assert.rejects(Tutti.open({ store, logger: () => {} }), { code: 'STORE_UNUSABLE', field: 'store', message: /\/proc\/nope/ });
});

test('folders that are missing above the store are made, and one that is a file is STORE_UNUSABLE', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-options-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = join(folder, 'a', 'b', 'tasks.db');
  await (await Tutti.open({ store })).close();
  assert.equal(existsSync(store), true);
  await assert.rejects(Tutti.open({ store: join(store, 'c', 'tasks.db') }), { code: 'STORE_UNUSABLE', field: 'store' });
});

test('every option that there is, and those that are undefined, are taken', async () => {
  const tutti = await Tutti.open({
    store: ':memory:',
    templates: [],
    handlers: {},
    slots: 1,
    dev: true,
    limits: { valueBytes: 1000 },
    retention: { maxAge: '1d', maxCount: 5 },
    grace: '1s',
    logger: undefined,
  });
  await tutti.close();
});

for (const field of ['templates', 'taskTypes', 'resourceKinds', 'schedules', 'handlers'])
  test(`${field} that are none are refused by name`, async () => {
    await assert.rejects(Tutti.open({ store: ':memory:', [field]: 5 } as never), {
      code: 'INVALID_INPUT',
      field,
      message: new RegExp(`^Tutti\\.open: ${field} must be a list`),
    });
  });

test('from the call of close on nothing is taken', async () => {
  const tutti = await Tutti.open({ store: ':memory:', handlers: { work: () => 1 }, logger: () => {} });
  const closing = tutti.close();
  await assert.rejects(async () => tutti.submitTree([{ name: 'a', handler: 'work' }]), { code: 'SHUTTING_DOWN' });
  await closing;
});
