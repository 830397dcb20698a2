/** Names of children that were given none: each is its own, whatever the others are called. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FamilyStaging, family } from '../support/staged-family.ts';

type Spawn = NonNullable<Exclude<NonNullable<FamilyStaging['doing']>[string], readonly unknown[]>['spawn']>;

const long = `${'x'.repeat(252)}😀`;

const CASES: [what: string, spawn: Spawn, steps: readonly string[], names: readonly string[]][] = [
  ['by key, else by place', ['a', {}, {}], ['p'], ['p.a', 'p.2', 'p.3']],
  ['a key that is a place', [{ key: '2' }, {}], ['p'], ['p.2', 'p.2.2']],
  ['a name that is given later in the same call', [{}, { name: 'p.1' }], ['p'], ['p.1.2', 'p.1']],
  ['a step of the template', ['a'], ['p', 'p.a'], ['p.a.2']],
  ['a step of the template that has the next name too', ['a'], ['p', 'p.a', 'p.a.2'], ['p.a.3']],
  ['a long name is cut for it, and stays text', [{ name: 'p.k' }, { key: 'k' }, { name: long }], ['p'], ['p.k', 'p.k.2', long]],
];

for (const [what, spawn, steps, names] of CASES) {
  test(`${what}: ${names.map((n) => n.slice(0, 20)).join(', ')}`, async () => {
    await family({ steps: steps.map((name) => ({ name })), doing: { p: { spawn } } }, async (f) => {
      await f.end();
      const all = (await f.world.complete(f.world.engine.steps(f.id), 'steps'))!.map((s) => s.name);
      assert.deepEqual(all, [...steps, ...names]);
      // Each is found by its name.
      for (const name of all) assert.equal((await f.world.complete(f.world.engine.step(f.id, name), 'step'))!.name, name);
    });
  });
}

test('a parent whose name leaves no room: names of its children are no longer than any, and still their own', async () => {
  const deep = { handler: 'child', key: 'k'.repeat(64) };
  await family(
    {
      doing: {
        p: { spawn: [{ name: long, key: 'a' }] },
        [long]: { spawn: [deep, { ...deep, key: 'l' }] },
      },
    },
    async (f) => {
      await f.end();
      const all = (await f.world.complete(f.world.engine.steps(f.id), 'steps'))!.map((s) => s.name);
      assert.deepEqual(all, ['p', long, 'child.1', 'child.2']);
    },
  );
});
