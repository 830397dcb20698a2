/** What `Tutti.open` is given and does not know is refused before anything is opened. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Tutti } from '../../src/main.ts';

const CASES: [given: unknown, field: string, message: RegExp][] = [
  [{ hooks: {} }, 'hooks', /^Tutti\.open: hooks is no option; there are store, templates, handlers, .*, logger$/],
  [{ handler: [] }, 'handler', /handler is no option; did you mean handlers\?$/],
  [{ retension: false }, 'retension', /did you mean retention\?$/],
  [{ retention: { maxage: '1d' } }, 'retention.maxage', /retention\.maxage is no option; did you mean retention\.maxAge\?$/],
  [{ retention: { interval: '1h' } }, 'retention.interval', /there are maxAge, maxCount$/],
  [{ retention: true }, 'retention', /^Tutti\.open: retention must be an object$/],
  [{ limits: { valueByte: 1 } }, 'limits.valueByte', /did you mean limits\.valueBytes\?$/],
  [{ limits: null }, 'limits', /limits must be an object$/],
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
