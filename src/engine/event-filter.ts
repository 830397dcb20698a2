/** Which events of the log of all tasks somebody asked for. Checked once, then asked of every row and every event that is read. */
import { TuttiError } from '../core/errors.ts';
import { STEP_STATES } from '../core/step-states.ts';
import { TASK_STATES } from '../core/task-states.ts';
import { EVENT_TYPES, type EventFilter, type TaskEvent } from './views.ts';

const STATES: readonly string[] = [...new Set<string>([...TASK_STATES, ...STEP_STATES])];

export interface TemplateRef {
  namespace: string;
  name: string;
}

export class EventMatcher {
  readonly #types: ReadonlySet<string> | undefined;
  readonly #states: ReadonlySet<string> | undefined;
  readonly #namespace: string | undefined;
  readonly #name: string | undefined;
  /** Progress is wanted at all. */
  readonly progress: boolean;

  /** Throws INVALID_INPUT for a type or state there is none of. */
  constructor(f: EventFilter) {
    this.#types = wordsOf('types', f.types, EVENT_TYPES);
    this.#states = wordsOf('states', f.states, STATES);
    this.#namespace = f.namespace;
    this.#name = f.name;
    this.progress = (this.#types?.has('step.progress') ?? true) && this.#states === undefined;
  }

  /** Events of tasks of this template may match. Asked first: it costs no reading of the row. */
  admits(t: TemplateRef): boolean {
    return (this.#namespace === undefined || t.namespace === this.#namespace) && (this.#name === undefined || t.name === this.#name);
  }

  matches(e: TaskEvent): boolean {
    if (this.#types !== undefined && !this.#types.has(e.type)) return false;
    return this.#states === undefined || this.#states.has(e.data.state as string);
  }
}

function wordsOf(field: string, given: readonly string[] | undefined, known: readonly string[]): ReadonlySet<string> | undefined {
  if (given === undefined) return undefined;
  for (const word of given) {
    if (known.includes(word)) continue;
    throw new TuttiError('INVALID_INPUT', `${field} must be any of ${known.join(', ')}, not ${JSON.stringify(word)}`, { field });
  }
  return new Set(given);
}
