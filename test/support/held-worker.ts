/** A worker whose attempts run until the world it belongs to lets them go, or says at once how they end. */
import type { Engine } from '../../src/engine/engine.ts';
import type { Assignment, AttemptOutcome } from '../../src/engine/worker-port.ts';
import type { Life, SimulatedMachine } from './simulated-host.ts';

export class HeldWorker {
  /** Attempts that run, oldest first. */
  running: Assignment[] = [];
  /** Every attempt there was. */
  readonly assigned: Assignment[] = [];
  #answer: (a: Assignment, outcome: AttemptOutcome) => void = () => undefined;

  /** Those of the life before are gone with it. `begins`: how an attempt ends at once; null: it runs on. */
  connect(o: {
    engine: Engine;
    machine: SimulatedMachine;
    life: Life;
    slots: number;
    begins: (a: Assignment) => AttemptOutcome | null;
    stopped: AttemptOutcome;
  }): void {
    const { machine, life } = o;
    this.running = [];
    const session = o.engine.workers.connect(
      { name: 'test', slots: o.slots, hasHandler: () => true },
      {
        assign: (batch) => {
          if (!life.alive) return;
          for (const a of batch) {
            this.assigned.push(a);
            this.running.push(a);
            const outcome = o.begins(a);
            if (outcome !== null) this.end(a, outcome);
          }
        },
        stop: (s) => {
          const a = this.running.find((r) => r.task === s.task && r.no === s.no);
          if (a !== undefined) this.end(a, o.stopped);
        },
      },
    );
    this.#answer = (a, outcome) => machine.soon(life, () => session.result({ task: a.task, no: a.no, token: a.token, outcome }));
  }

  end(a: Assignment, outcome: AttemptOutcome): void {
    this.running = this.running.filter((r) => r !== a);
    this.#answer(a, outcome);
  }
}
