/** What goes wrong in a seeded run, and how little room the engine is given. */
import { DEFAULT_ENGINE_CONFIG, type EngineConfig } from '../../src/engine/host.ts';
import type { CommitFate, FaultPlan } from '../support/faulty-store.ts';
import { type SeededRandom, randomOf } from '../support/seeded-random.ts';

/** Commits fail at this rate, now and then several in a row. */
export function faultsOf(seed: number, rate: number): (life: number) => FaultPlan {
  return (life) => {
    const r = randomOf(seed, life, 99);
    let outage: { fate: CommitFate; left: number } | null = null;
    return () => {
      if (outage !== null && outage.left-- > 0) return outage.fate;
      outage = null;
      if (!r.chance(rate)) return 'ok';
      const fate = r.pick(['busy', 'refused', 'lost', 'applied', 'applied', 'full'] as const);
      if (fate !== 'applied' && r.chance(0.2)) outage = { fate, left: r.int(1, 6) };
      return fate;
    };
  };
}

/** Often with inboxes of a few places, a cache that holds hardly anything, and turns of a few rows: what is rare in use is usual here. */
export function tightConfig(r: SeededRandom): Partial<EngineConfig> {
  const few = (): number => r.int(1, 6);
  const d = DEFAULT_ENGINE_CONFIG;
  return {
    ...(r.chance(0.3) ? { channels: { taskRequest: few(), resultProcessor: few(), stepEnqueuer: few(), taskFinalizer: few() } } : {}),
    ...(r.chance(0.3) ? { cache: { ...d.cache, maxSteps: r.int(1, 60) } } : {}),
    ...(r.chance(0.3) ? { turn: { ...d.turn, maxRows: r.int(1, 24) } } : {}),
    ...(r.chance(0.2) ? { cache: { maxSteps: r.int(1, 60), payloadBytes: r.int(100, 2_000) } } : {}),
  };
}
