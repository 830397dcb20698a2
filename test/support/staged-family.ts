/** A family brought to a place worth looking at: a table says what each attempt of each step does, by name and phase. */
import type { TemplateDefinition } from '../../src/core/definition.ts';
import type { EngineConfig } from '../../src/engine/host.ts';
import type { Assignment, SpawnRequest } from '../../src/engine/worker-port.ts';
import { CANCEL_REASONS, STEP_STATES } from '../../src/core/step-states.ts';
import { TASK_STATES } from '../../src/core/task-states.ts';
import type { FamilyTraits } from './family-rules.ts';
import { type FamilyBehaviour, FamilyWorld } from './family-world.ts';
import { type StepSketch, graph } from './template-fixtures.ts';

export type Doing = Partial<Omit<FamilyBehaviour, 'spawns'>> & {
  /** In one message: keys of children of handler `child`, or whole requests. */
  spawn?: readonly (string | (Partial<SpawnRequest> & { key?: string }))[];
};

export interface FamilyStaging {
  /** Default: one step `p` that is tried twice. */
  steps?: readonly StepSketch[];
  template?: Partial<TemplateDefinition>;
  traits?: Record<string, Partial<FamilyTraits>>;
  /** By `name` (phase run), `name finalize`, `name abort`, or `*`; a list is by attempt, its last entry holds for all further ones. Default: ok after 5 ms. */
  doing?: Record<string, Doing | readonly Doing[]>;
  slots?: number;
  seed?: number;
  config?: Partial<EngineConfig>;
  lacks?: (handler: string) => boolean;
}

/** No waiting between attempts. */
export const TWICE = { retryable: true, maxAttempts: 2, backoff: 'none' as const, baseMs: 0, maxMs: 0, jitter: 0 };
export const ONCE = { ...TWICE, maxAttempts: 1 };

const request = (c: string | Partial<SpawnRequest>, at: number): SpawnRequest => {
  const r = typeof c === 'string' ? { key: c } : c;
  return { handler: 'child', inputs: JSON.stringify({ of: r.key ?? at }), retry: ONCE, ...(r.key === undefined ? { position: at } : {}), ...r };
};

export class StagedFamily {
  readonly world: FamilyWorld;
  id = '';

  constructor(o: FamilyStaging) {
    this.world = new FamilyWorld({
      seed: o.seed ?? 1,
      slots: o.slots ?? 20,
      templates: [graph('family', o.steps ?? [{ name: 'p', retry: TWICE }], o.template)],
      traits: (handler) => ({ finalize: false, abort: false, cancelable: true, ...o.traits?.[handler] }),
      script: (a: Assignment): FamilyBehaviour => {
        const named = o.doing?.[a.phase === 'run' ? a.stepName : `${a.stepName} ${a.phase}`] ?? o.doing?.[a.phase === 'run' ? '*' : `* ${a.phase}`] ?? {};
        const list = Array.isArray(named) ? (named as readonly Doing[]) : [named as Doing];
        const { spawn, ...rest } = list[Math.min(a.attempt, list.length) - 1];
        return { what: 'ok', delayMs: 5, onStop: 'obey', ...rest, ...(spawn === undefined || a.phase !== 'run' ? {} : { spawns: [spawn.map(request)] }) };
      },
      ...(o.config === undefined ? {} : { config: o.config }),
      ...(o.lacks === undefined ? {} : { lacks: o.lacks }),
    });
  }

  static async open(o: FamilyStaging): Promise<StagedFamily> {
    const s = new StagedFamily(o);
    await s.world.boot();
    s.id = (await s.world.complete(s.world.submit('family'), 'submit'))!;
    return s;
  }

  get taskState(): string {
    return TASK_STATES[this.world.task(this.id).state];
  }

  /** As stored: the state, or for a cancelled step why. */
  state(name: string): string {
    const t = this.world.task(this.id);
    const no = t.facts.findIndex((f) => f.name === name);
    if (no < 0) return 'none';
    const { state, reason } = t.rows[no];
    return state === 8 ? `cancelled: ${CANCEL_REASONS[reason!]}` : STEP_STATES[state];
  }

  states(...names: string[]): string[] {
    return names.map((n) => this.state(n));
  }

  /** Dispatches in order: `name`, or `name phase`. */
  get ran(): string[] {
    return this.world.order.map((r) => (r.phase === 'run' ? r.assignment.stepName : `${r.assignment.stepName} ${r.phase}`));
  }

  times(what: string): number {
    return this.ran.filter((r) => r === what).length;
  }

  aborts(name: string): string[] {
    const t = this.world.task(this.id);
    return t.aborts.get(t.facts.findIndex((f) => f.name === name)) ?? [];
  }

  /** Until this holds; after every timer it is asked again. */
  async until(holds: () => boolean, what: string): Promise<void> {
    await this.world.machine.runUntil(holds, 600_000, what);
  }

  cancelStep(name: string): Promise<boolean> {
    return this.world.complete(this.world.cancelStep(this.id, name), 'cancel of a step');
  }

  /** To the end of all, with everything that must hold then. */
  async end(): Promise<void> {
    await this.world.finish();
    this.world.check();
  }

  async crash(): Promise<void> {
    this.world.kill();
    await this.world.boot();
  }
}

/** Stages it, looks, and goes on to the end of all. */
export async function family(o: FamilyStaging, look: (f: StagedFamily) => Promise<void> | void): Promise<void> {
  const f = await StagedFamily.open(o);
  try {
    await look(f);
    await f.end();
  } finally {
    f.world.close();
  }
}
