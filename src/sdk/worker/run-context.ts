/** The context of an attempt, and what built-in handlers see of its dependencies beyond `results`. */
import { RetryableError } from '../handler-errors.ts';
import type { HandlerMeta } from '../handler-meta.ts';
import type { NotTaken, Settled } from '../step-types.ts';
import type { Attempt } from './attempt.ts';
import { settledOf } from './dependency-results.ts';
import { AttemptContext } from './step-context.ts';

const PAGE = 100;

export interface SettledDependency {
  readonly name: string;
  /** Null: the engine named none. */
  readonly id: string | null;
  readonly required: boolean;
  readonly outcome: Settled<unknown> | NotTaken;
}

export class RunContext extends AttemptContext {
  readonly #own: Attempt;

  constructor(attempt: Attempt, metaOf?: (handler: string) => HandlerMeta | undefined) {
    super(attempt, metaOf);
    this.#own = attempt;
  }

  /**
   * How each dependency ended, in declared order, at any size. Unlike `results` it has both of two with one name, tells required from
   * optional, and does not throw where a person resolved one without a result.
   */
  async *settledDependencies(): AsyncGenerator<SettledDependency, void, undefined> {
    const { given, session } = this.#own;
    const ids = given.dependencyIds;
    let at = 0;
    for (;;) {
      const page = given.results ?? (await session.fetchResults({ task: given.task, no: given.no, from: at, limit: PAGE }));
      for (const [name, required, result] of page) {
        const id = ids?.[at] ?? null;
        at++;
        yield { name, required, id, outcome: settledOf(result) };
      }
      if (given.results !== null || at >= given.dependencyCount) return;
      if (page.length === 0) throw new RetryableError('the results cannot be read at the moment');
    }
  }
}
