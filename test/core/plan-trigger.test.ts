/** What becomes of a trigger (spec/startree.md §7), with the sentence of issue 4 that overrules it: all of the table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideTrigger, isTrue, type TriggerVerdict } from '../../src/core/plan-trigger.ts';

const BOTH = [false, true];
const VIA = ['execute', 'schedule', 'cron'] as const;

/** The first line that fits, as docs/plans.md tells it. `-`: whatever. */
const LINES: [switchedOn: string, force: string, live: string, flag: string, supports: string, only: string, plain: TriggerVerdict, tick: TriggerVerdict][] = [
  ['no', '-', '-', '-', '-', 'no', 'once', 'once'],
  ['no', '-', '-', '-', '-', 'yes', 'refuse', 'refuse'],
  ['-', 'yes', '-', '-', '-', 'no', 'once', 'once'],
  ['-', 'yes', '-', '-', '-', 'yes', 'refuse', 'refuse'],
  // "While a plan is live every ad hoc call for the pair is rejected and every tick skipped, flag or no flag."
  ['-', '-', 'yes', '-', '-', '-', 'reject', 'skip'],
  ['-', '-', '-', 'yes', 'yes', '-', 'plan', 'plan'],
  ['-', '-', '-', '-', '-', 'no', 'once', 'once'],
  ['-', '-', '-', '-', '-', 'yes', 'refuse', 'refuse'],
];

test('every combination of facts has the verdict of the first line that fits', () => {
  const verdicts = new Map<string, number>();
  for (const enabled of BOTH)
    for (const force of BOTH)
      for (const live of BOTH)
        for (const flag of BOTH)
          for (const supportsOrchestration of BOTH)
            for (const orchestratedOnly of BOTH)
              for (const via of VIA) {
                const facts = [enabled, force, live, flag, supportsOrchestration, orchestratedOnly];
                const line = LINES.find((l) => facts.every((fact, i) => l[i] === '-' || l[i] === (fact ? 'yes' : 'no')))!;
                const found = decideTrigger({ enabled, force, flag, supportsOrchestration, orchestratedOnly, live, via });
                assert.equal(
                  found,
                  via === 'execute' ? line[6] : line[7],
                  JSON.stringify({ enabled, force, live, flag, supportsOrchestration, orchestratedOnly, via }),
                );
                verdicts.set(found, (verdicts.get(found) ?? 0) + 1);
              }
  assert.deepEqual([...verdicts.keys()].toSorted(), ['once', 'plan', 'refuse', 'reject', 'skip']);
});

test('4: only "true", in any case, is true', () => {
  for (const yes of ['true', 'TRUE', 'True', 'tRuE']) assert.equal(isTrue(yes), true, yes);
  for (const no of [undefined, '', 'false', 'yes', '1', 'on', ' true', 'true ', 'truee']) assert.equal(isTrue(no), false, String(no));
});
