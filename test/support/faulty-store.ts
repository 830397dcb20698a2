/**
 * A store whose commits can be refused, or applied and yet reported failed, by a plan. After an I/O error it answers nothing until
 * `reopen`; after a kill it answers nothing at all. What was really applied goes to the mirror.
 */
import type { ChangeSet } from '../../src/core/changes.ts';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import { type Awaitable, type Store, StoreFailure } from '../../src/store/store.ts';
import type { Life } from './simulated-host.ts';

/**
 * ok; busy and full: nothing written, the connection stays good; refused: nothing written, connection gone; lost: nothing written
 * and nobody can tell; applied: written, reported as unknown.
 */
export type CommitFate = 'ok' | 'busy' | 'full' | 'refused' | 'lost' | 'applied';
/** `n` counts the commits of this life from 1. */
export type FaultPlan = (n: number, changes: ChangeSet) => CommitFate;

/** Hears what was really applied. */
export interface Mirror {
  apply(changes: ChangeSet): void;
  readonly definitions: Map<number, TemplateDefinition>;
}

/** For whoever looks at what the store says in the end. */
export const deafMirror = (): Mirror => ({ apply: () => undefined, definitions: new Map() });

export class ProcessKilled extends Error {}

export interface FaultyStore extends Store {
  readonly faults: number;
  readonly conflicts: number;
}

/** A store whose commits fail as planned, in a test that has no kills and no mirror. */
export const failingStore = (inner: Store, plan: FaultPlan): FaultyStore =>
  faultyStore(inner, deafMirror(), { alive: true }, plan, (e) => {
    throw e;
  });

export function faultyStore(inner: Store, mirror: Mirror, life: Life, plan: FaultPlan, report: (e: unknown) => void): FaultyStore {
  let n = 0;
  let broken = false;
  let faults = 0;
  let conflicts = 0;
  const alive = (verb: string): void => {
    if (!life.alive) throw new ProcessKilled(`${verb} after the kill`);
    if (broken) throw new StoreFailure('io', false, `${verb} on a connection that failed`);
  };
  const own = {
    commit(changes: ChangeSet): Awaitable<void> {
      alive('commit');
      const fate = plan(++n, changes);
      if (fate !== 'ok') faults++;
      if (fate === 'busy' || fate === 'full') throw new StoreFailure(fate, false, `injected: ${fate}`);
      if (fate === 'refused' || fate === 'lost') {
        broken = true;
        throw new StoreFailure('io', fate === 'lost' ? 'unknown' : false, `injected: ${fate}`);
      }
      try {
        const done = inner.commit(changes);
        if (done instanceof Promise) throw new Error('the inner store must answer at once');
      } catch (e) {
        if (e instanceof StoreFailure && e.kind === 'conflict') conflicts++;
        else report(e);
        throw e;
      }
      try {
        mirror.apply(changes);
      } catch (e) {
        report(e);
      }
      if (fate === 'applied') {
        broken = true;
        throw new StoreFailure('io', 'unknown', 'injected: applied, but reported failed');
      }
    },
    reopen(): void {
      if (!life.alive) throw new ProcessKilled('reopen after the kill');
      broken = false;
    },
    close(): void {},
    putTemplate(t: Parameters<Store['putTemplate']>[0]): Awaitable<Awaited<ReturnType<Store['putTemplate']>>> {
      alive('putTemplate');
      const row = inner.putTemplate(t);
      if (row instanceof Promise) throw new Error('the inner store must answer at once');
      mirror.definitions.set(row.id, JSON.parse(row.definition));
      return row;
    },
    get faults() {
      return faults;
    },
    get conflicts() {
      return conflicts;
    },
  };
  return new Proxy(inner, {
    get(target, name) {
      if (name in own) return Reflect.get(own, name);
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        alive(String(name));
        return value.apply(target, args) as unknown;
      };
    },
  }) as unknown as FaultyStore;
}
