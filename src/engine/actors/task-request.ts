import { createTask } from '../../core/decide-task.ts';
import { TuttiError } from '../../core/errors.ts';
import type { TaskGraph } from '../../core/graph.ts';
import type { FinalizeCommand, SubmitCommand } from '../commands.ts';
import type { EngineParts } from '../engine-parts.ts';
import { Inbox } from '../inbox.ts';
import type { Actor, Turn } from '../turn.ts';

/** Takes submissions, already validated and with their ids: builds the graph and its initial readiness. */
export class TaskRequest implements Actor {
  readonly inbox: Inbox<SubmitCommand>;
  readonly #p: EngineParts;
  readonly #followUp: (c: FinalizeCommand) => void;
  readonly #adopt: (g: TaskGraph) => void;
  readonly #wake: () => void;
  #taken: SubmitCommand[] = [];
  #doubts = 0;
  #checking = false;
  submitted = 0;

  constructor(o: { parts: EngineParts; followUp: (c: FinalizeCommand) => void; adopt: (g: TaskGraph) => void; wake: () => void }) {
    this.#p = o.parts;
    this.#followUp = o.followUp;
    this.#adopt = o.adopt;
    this.#wake = o.wake;
    this.inbox = new Inbox('task_request', o.parts.config.channels.taskRequest);
  }

  get waiting(): boolean {
    return this.inbox.depth > 0 && !this.#checking;
  }

  fill(turn: Turn): void {
    if (this.#checking) return;
    if (this.#doubts > 0) {
      this.#settleDoubts();
      return;
    }
    const begun = this.#p.host.ticks();
    while (this.inbox.depth > 0 && turn.room) {
      const c = this.inbox.take()!;
      this.#taken.push(c);
      const g = createTask(turn.out, c.submission);
      this.#p.graphs.put(g);
      if (g.arriving >= 0) {
        turn.replies.push(() => this.#followUp({ kind: 'arrive', task: g.id, submit: c }));
        break;
      }
      turn.replies.push(() => {
        this.#p.payloads.putInput(g.id, c.submission.input);
        c.done(g, null);
      });
    }
    this.inbox.handled += this.#taken.length;
    this.inbox.timeMs += this.#p.host.ticks() - begun;
  }

  settle(): void {
    this.submitted += this.#taken.length;
    this.#taken = [];
  }

  undo(doubtful: boolean): void {
    if (doubtful) {
      for (const c of this.#taken) c.doubtful = true;
      this.#doubts += this.#taken.length;
    }
    this.inbox.handled -= this.#taken.length;
    this.inbox.putBack(this.#taken);
    this.#taken = [];
  }

  abandon(e: TuttiError): void {
    for (const c of this.#taken) c.done(null, e);
    this.#taken = [];
  }

  /** Nothing of them was written: those who wait are told, and may ask again. Of what is in doubt that is said only when nobody will look any more. */
  refuse(e: TuttiError): void {
    const closing = e.code === 'SHUTTING_DOWN';
    if (this.#doubts > 0 && !closing) return;
    for (let c = this.inbox.take(); c !== undefined; c = this.inbox.take())
      c.done(null, closing && c.doubtful ? new TuttiError('SHUTTING_DOWN', 'The engine was closed before it was known whether this was stored.') : e);
  }

  /** A submission whose commit may have landed is looked up before it is decided again. */
  #settleDoubts(): void {
    this.#checking = true;
    const items: SubmitCommand[] = [];
    for (let c = this.inbox.take(); c !== undefined; c = this.inbox.take()) items.push(c);
    const check = async (): Promise<void> => {
      const open: SubmitCommand[] = [];
      for (const c of items) {
        if (!c.doubtful || (await this.#p.store.loadTask(c.submission.id)) === null) {
          c.doubtful = false;
          open.push(c);
          continue;
        }
        const [g] = await this.#p.graphs.read([c.submission.id], () => Promise.resolve());
        if (g === undefined) continue;
        if (g.arriving >= 0) {
          this.#p.graphs.put(g);
          this.#followUp({ kind: 'arrive', task: g.id, submit: c });
          continue;
        }
        this.#adopt(g);
        c.done(g, null);
      }
      this.inbox.putBack(open);
      this.#doubts = 0;
      this.#checking = false;
      this.#wake();
    };
    check().catch(() => {
      this.inbox.putBack(items);
      this.#p.host.timer(100, () => {
        this.#checking = false;
        this.#wake();
      });
    });
  }
}
