/**
 * The loop of turns (design.md §3): take what waits, decide in memory, commit once, let the effects out.
 *
 * - Nothing leaves before the commit that made it true (I1): every reply, assignment, stop and event is noted and released after.
 * - One commit is in flight. Whatever arrives meanwhile waits in the inboxes: a commit in progress is the gathering.
 * - A refused or doubtful commit drops every graph it touched, gives its slots back, puts its commands back at the head in their
 *   order and decides again on what the store then says (I3).
 * - A turn ends at its row budget or its time, never at "everything that waits".
 */
import { Decisions } from '../core/decisions.ts';
import type { ChangeSet } from '../core/changes.ts';
import { TuttiError } from '../core/errors.ts';
import { StoreFailure } from '../store/store.ts';
import type { Active, Dispatcher } from './dispatcher.ts';
import type { EngineParts } from './engine-parts.ts';
import { Counts, ROWS, SECONDS } from './histogram.ts';

/** One turn in hand. */
export class Turn {
  readonly out: Decisions;
  readonly replies: (() => void)[] = [];
  /** Tasks whose graph a command wanted and did not find. */
  readonly missing = new Set<number>();
  /** A command was put off to the next turn, which needs nothing but to come. */
  more = false;
  readonly released: Active[] = [];
  readonly #maxRows: number;
  readonly #until: number;
  readonly #ticks: () => number;
  readonly #dispatcher: Dispatcher;
  #asked = 0;
  /** Time is up. It stays so: a timer must not be decided before a result that was here. */
  #over = false;
  #freed = 0;

  constructor(o: { out: Decisions; dispatcher: Dispatcher; maxRows: number; until: number; ticks: () => number }) {
    this.out = o.out;
    this.#dispatcher = o.dispatcher;
    this.#maxRows = o.maxRows;
    this.#until = o.until;
    this.#ticks = o.ticks;
  }

  /** Room for another command? The clock is looked at now and then only. */
  get room(): boolean {
    if (this.#over || this.out.weight >= this.#maxRows) return false;
    if ((++this.#asked & 15) === 0 && this.#ticks() >= this.#until) this.#over = true;
    return !this.#over;
  }

  /** Gives back the slots of attempts that ended in this turn so far; a refused commit takes them again. */
  reap(): void {
    const { freed } = this.out;
    for (; this.#freed < freed.length; this.#freed++) {
      const f = freed[this.#freed];
      const a = this.#dispatcher.release(f.graph.id, f.no, f.token);
      if (a !== undefined) this.released.push(a);
    }
  }
}

/** Owner of an inbox, and of one or more of the turn's stages. */
export interface Actor {
  readonly waiting: boolean;
  /** The turn's commit is durable. */
  settle(): void;
  /** The turn is void. `doubtful`: it may have been written all the same. */
  undo(doubtful: boolean): void;
  /** The one command of this turn cannot be written, ever: a defect. Its caller is told, and the rest goes on. */
  abandon(e: TuttiError): void;
  /** The turn was refused for good (full disk): tell whoever can be told. */
  refuse(e: TuttiError): void;
}

/** Turns of one command each that fail in a row before that command is given up. */
const GIVE_UP_AFTER = 8;
/** How often a store that could not be written is asked whether it can. */
const PROBE_MS = 1000;
const RETRY_MS = [0, 5, 20, 100, 250, 500, 1000];

export class TurnLoop {
  readonly #p: EngineParts;
  readonly #actors: readonly Actor[];
  readonly #stages: readonly ((turn: Turn) => void)[];
  readonly #release: (turn: Turn) => void;
  readonly #reload: (ids: number[]) => Promise<void>;
  readonly #resume: (doubts: readonly Active[]) => void;
  #scheduled = false;
  #busy = false;
  #stopped = false;
  #refuse: (() => void) | null = null;
  #failures = 0;
  #probing = false;
  /** Tasks being read for a command. */
  readonly #fetching = new Set<number>();
  #background: { changes: ChangeSet; done: (e: unknown) => void }[] = [];
  #idleWaiters: (() => void)[] = [];
  turns = 0;
  commitFailures = 0;
  /** False after a failed commit until one succeeds. */
  writable = true;
  lastFailure: string | null = null;
  readonly rows = new Counts(ROWS);
  readonly seconds = new Counts(SECONDS);
  readonly commitSeconds = new Counts(SECONDS);

  constructor(o: {
    parts: EngineParts;
    actors: readonly Actor[];
    stages: readonly ((turn: Turn) => void)[];
    release: (turn: Turn) => void;
    reload: (ids: number[]) => Promise<void>;
    resume: (doubts: readonly Active[]) => void;
  }) {
    this.#p = o.parts;
    this.#actors = o.actors;
    this.#stages = o.stages;
    this.#release = o.release;
    this.#reload = o.reload;
    this.#resume = o.resume;
  }

  /** Something waits: a turn follows. Never waits to gather (spec/turn-loop.md §5). */
  wake(): void {
    if (this.#scheduled || this.#busy) return;
    if (this.#stopped) {
      this.#refuse?.();
      return;
    }
    this.#scheduled = true;
    this.#p.host.soon(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  /** Writes that belong to no turn (log lines, retention), one at a time between turns. Resolves with whether it was written. */
  commitLater(changes: ChangeSet): Promise<boolean> {
    if (this.#stopped) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#background.push({ changes, done: (e) => resolve(e === null) });
      this.wake();
    });
  }

  /** Resolves when no commit is in flight; the loop decides nothing more. `refuse` tells those who wait for a decision, then and whenever more come. */
  async stop(refuse: () => void): Promise<void> {
    this.#stopped = true;
    if (this.#busy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    this.#refuse = refuse;
    refuse();
    for (const w of this.#background.splice(0)) w.done(new Error('stopped'));
  }

  #run(): void {
    if (this.#busy) return;
    if (this.#stopped) {
      this.#refuse?.();
      return;
    }
    const { host, config } = this.#p;
    const begun = host.ticks();
    const single = this.#failures > 2;
    const turn = new Turn({
      out: new Decisions(host.now(), this.#p.boot, (handler) => this.#p.dispatcher.traits(handler)),
      dispatcher: this.#p.dispatcher,
      maxRows: single ? 1 : config.turn.maxRows,
      until: begun + config.turn.maxMs,
      ticks: () => host.ticks(),
    });
    for (const stage of this.#stages) stage(turn);
    const changes = turn.out.seal();
    const decided = host.ticks();
    if (turn.missing.size > 0) this.#fetch(turn.missing);
    if (changes.rows === 0) {
      for (const actor of this.#actors) actor.settle();
      this.#release(turn);
      // What waits for a graph is decided when that has been read, or is read again: looking at it before would keep the loop busy.
      this.#next(turn.missing.size > 0 && !turn.more && turn.room);
      return;
    }
    this.turns++;
    this.rows.observe(changes.rows);
    const landed = (): void => {
      const committed = host.ticks();
      this.commitSeconds.observe((committed - decided) / 1000);
      this.#failures = 0;
      this.writable = true;
      for (const actor of this.#actors) actor.settle();
      this.#release(turn);
      this.seconds.observe((host.ticks() - begun) / 1000);
    };
    let pending: void | Promise<void>;
    try {
      pending = this.#p.store.commit(changes);
    } catch (e) {
      this.#fail(turn, e);
      return;
    }
    if (pending === undefined) {
      landed();
      this.#next();
      return;
    }
    this.#busy = true;
    pending.then(
      () => {
        this.#busy = false;
        landed();
        this.#next();
      },
      (e: unknown) => {
        this.#busy = false;
        this.#fail(turn, e);
      },
    );
  }

  /** `held`: all that waits in the inboxes waits for a read, which wakes the loop. */
  #next(held = false): void {
    for (const w of this.#idleWaiters.splice(0)) w();
    if (this.#stopped) return;
    const work = this.#background.shift();
    if (work !== undefined) this.#commitBackground(work);
    if (this.#background.length > 0 || (!held && this.#actors.some((a) => a.waiting))) this.wake();
  }

  #commitBackground(work: { changes: ChangeSet; done: (e: unknown) => void }): void {
    try {
      const pending = this.#p.store.commit(work.changes);
      if (pending === undefined) {
        work.done(null);
        return;
      }
      this.#busy = true;
      pending
        .then(
          () => work.done(null),
          (e: unknown) => work.done(e),
        )
        .finally(() => {
          this.#busy = false;
          this.#next();
        });
    } catch (e) {
      work.done(e);
      this.#reopenAfter(e);
    }
  }

  #reopenAfter(e: unknown): void {
    if (e instanceof StoreFailure && (e.kind === 'busy' || e.kind === 'conflict')) return;
    try {
      const pending = this.#p.store.reopen();
      if (pending !== undefined) pending.catch((again: unknown) => this.#note(again));
    } catch (again) {
      this.#note(again);
    }
  }

  #note(e: unknown): void {
    this.lastFailure = e instanceof Error ? e.message : String(e);
  }

  /** The commit did not happen, or may not have. */
  #fail(turn: Turn, e: unknown): void {
    const failure = e instanceof StoreFailure ? e : new StoreFailure('io', 'unknown', e instanceof Error ? e.message : String(e), e);
    const { host, graphs, dispatcher } = this.#p;
    this.commitFailures++;
    this.#failures++;
    this.#note(failure);
    const lasting = failure.kind === 'full' || failure.kind === 'readonly' || failure.kind === 'corrupt';
    const ours = failure.kind === 'invalid' || failure.kind === 'conflict';
    if (lasting || (this.#failures > 3 && !ours)) this.writable = false;
    if (this.#failures === 1 || this.#failures % 50 === 0)
      host.log('warn', `a commit was refused (${failure.kind}); deciding again`, { message: failure.message, failures: this.#failures });
    const ids: number[] = [];
    for (const g of turn.out.touched) {
      g.ready.clear();
      graphs.drop(g);
      ids.push(g.id);
    }
    const doubtful = failure.applied === 'unknown';
    // Starts that turn out to be durable are let out after all: their attempts are counted (I6) and their handlers have not run.
    const doubts: Active[] = [];
    for (const s of turn.out.starts) {
      const a = dispatcher.release(s.graph.id, s.no, s.token);
      if (doubtful && a !== undefined) doubts.push(a);
    }
    for (const a of turn.released) dispatcher.restore(a);
    if (this.#failures > GIVE_UP_AFTER && (failure.kind === 'conflict' || failure.kind === 'invalid')) {
      host.log('error', 'a command could not be written and was given up: this is a defect, please report it', { message: failure.message });
      for (const actor of this.#actors) actor.abandon(new TuttiError('INTERNAL', 'The command could not be written.'));
    } else for (const actor of [...this.#actors].reverse()) actor.undo(doubtful);
    if (!doubtful && !this.writable) {
      const told = new TuttiError('STORE_UNAVAILABLE', `The store cannot be written: ${failure.message}`, { retryAfter: 5 });
      for (const actor of this.#actors) actor.refuse(told);
    }
    this.#probe();
    this.#busy = true;
    // At once, so that what only reads goes on meanwhile; again before deciding, should this not have worked.
    const reopens = failure.kind !== 'busy' && failure.kind !== 'conflict' && failure.kind !== 'invalid';
    let open = !reopens;
    const reopen = async (): Promise<void> => {
      await this.#p.store.reopen();
      open = true;
    };
    const first = open ? undefined : reopen().catch((e2: unknown) => this.#note(e2));
    const again = async (): Promise<void> => {
      await first;
      if (!open) await reopen();
      await this.#reload(ids);
      this.#resume(doubts);
    };
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length) - 1];
    const resume = (): void => {
      if (this.#stopped) {
        this.#busy = false;
        this.#next();
        return;
      }
      again().then(
        () => {
          this.#busy = false;
          this.#next();
          this.wake();
        },
        (e2: unknown) => {
          this.#note(e2);
          this.#failures++;
          this.writable = false;
          host.timer(RETRY_MS[RETRY_MS.length - 1], resume);
        },
      );
    };
    if (wait === 0) resume();
    else host.timer(wait, resume);
  }

  /** While the store cannot be written nothing is let in, so no commit would show that it can again: the store is asked. */
  #probe(): void {
    if (this.#probing || this.writable || this.#stopped) return;
    this.#probing = true;
    this.#p.host.timer(PROBE_MS, () => {
      Promise.resolve()
        .then(() => this.#p.store.health())
        .then((h) => void (this.writable ||= h.writable))
        .catch((e: unknown) => this.#note(e))
        .finally(() => {
          this.#probing = false;
          this.wake();
          this.#probe();
        });
    });
  }

  /** Graphs that commands asked for are read between turns; their commands wait at the head until they are there, or known to be absent. */
  #fetch(wanted: Iterable<number>): void {
    const ids = [...wanted].filter((id) => !this.#fetching.has(id));
    if (ids.length === 0) return;
    for (const id of ids) this.#fetching.add(id);
    const read = async (): Promise<void> => {
      const watch = this.#p.graphs.watch();
      try {
        await this.#reload(ids);
        // One that was there and has left memory since is asked for again: it is not absent.
        for (const id of ids) if (this.#p.graphs.get(id) === undefined && !watch.left.has(id)) this.#p.absent.add(id);
      } catch (e) {
        this.#note(e);
        await new Promise<void>((resolve) => this.#p.host.timer(100, resolve));
      } finally {
        watch.end();
      }
      for (const id of ids) this.#fetching.delete(id);
      this.wake();
    };
    void read();
  }
}
