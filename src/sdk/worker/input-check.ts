/** Holds the inputs of an attempt against the schema of its handler and against the step's own, before any code of the user runs. */
import type { JsonObject } from '../../core/definition.ts';
import type { InputValidator, ValidationResult } from '../../engine/facade.ts';
import type { Assignment, AttemptOutcome } from '../../engine/worker-port.ts';
import { loadAjv, problemOfSchema, schemaValidator } from '../input-schema.ts';
import type { UntypedStepContext } from '../step-types.ts';
import { finalFailure } from './attempt-failure.ts';
import { withinTime } from './within-time.ts';

/** Schemas of steps kept compiled. Compiling takes milliseconds; the elements of a tree often share one. */
const KEPT = 200;
/** Problems told of one input; further ones say nothing new. */
const MAX_ISSUES = 5;
/** Milliseconds that a step's own schema may take: it comes from whoever submitted the step, and everybody else waits meanwhile. */
const COMPILE_MS = 1000;
const VALIDATE_MS = 250;
/** What a schema of these keywords takes is not in proportion to its size. */
const UNEVEN = /"(?:pattern|patternProperties|format|uniqueItems|\$ref|\$dynamicRef)"/;
/** Characters of schema times characters of inputs that are a few milliseconds at most, and need no watching. */
const SMALL = 2_000_000;

interface OwnSchema {
  validate: InputValidator;
  /** Characters of its text; Infinity: it has to be watched with any inputs. */
  size: number;
}

export class InputCheck {
  readonly #compiled = new Map<string, OwnSchema | string>();
  /** The schema that is compiled last of those that wait. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #pause: () => Promise<unknown>;

  /** `pause`: lets others have the loop for a round. */
  constructor(pause: () => Promise<unknown>) {
    this.#pause = pause;
  }

  /** Null: the inputs fit. Throws what the validator throws. */
  async problem(given: Assignment, ctx: UntypedStepContext, ofHandler: InputValidator | null): Promise<AttemptOutcome | null> {
    // Too much to be merged: `ctx.inputs` throws, so no code sees inputs that nobody has checked.
    if (given.mergedInputs && given.results === null) return null;
    const name = given.mergedInputs ? 'inputs' : 'input';
    const value: unknown = given.mergedInputs ? ctx.inputs : ctx.input;
    if (given.inputSchema !== undefined) {
      const own = await this.#ofStep(given.inputSchema);
      const unusable = (why: string): AttemptOutcome =>
        finalFailure('invalid_input_schema', `the input schema of step ${JSON.stringify(given.stepName)} cannot be used: ${why}`);
      if (typeof own === 'string') return unusable(own);
      const answer = own.size * sizeOf(given) <= SMALL ? { value: own.validate(value) } : withinTime(VALIDATE_MS, () => own.validate(value));
      if (answer === null) return unusable(`with these ${name} it takes longer than ${VALIDATE_MS} ms`);
      const found = refusal(await answer.value, name, `the input schema of step ${JSON.stringify(given.stepName)}`);
      if (found !== null) return found;
    }
    return ofHandler === null ? null : refusal(await ofHandler(value), name, `the input schema of handler ${JSON.stringify(given.handler)}`);
  }

  /** Text: what is wrong with the schema. */
  async #ofStep(schema: JsonObject): Promise<OwnSchema | string> {
    // By text: a task that was loaded again has equal schemas, not the same ones.
    const text = JSON.stringify(schema);
    let found = this.#compiled.get(text);
    if (found !== undefined) this.#compiled.delete(text);
    else {
      // One after the other, with a round of the loop between two: attempts come by the dozen, each perhaps with a schema of its own.
      const turn = this.#last.then(this.#pause).then(() => this.#compiled.get(text) ?? usable(schema, text));
      this.#last = turn;
      found = await turn;
    }
    this.#compiled.set(text, found);
    if (this.#compiled.size > KEPT) this.#compiled.delete(this.#compiled.keys().next().value as string);
    return found;
  }
}

/** What can be seen of a step's own schema when the step is submitted: all but how it is to be compiled. Null: nothing is wrong with it. */
export function problemOfOwnSchema(schema: JsonObject): string | null {
  if (schema.$async !== undefined) return NOT_ASYNC;
  // Before the time runs: a module must not be broken off half loaded.
  loadAjv();
  const problem = withinTime(COMPILE_MS, () => problemOfSchema(schema));
  return problem === null ? TOO_LONG : problem.value;
}

/** Such a schema would answer with a promise, which counts as a yes, and reject it where nobody listens. */
const NOT_ASYNC = '$async is not supported';
const TOO_LONG = `it takes longer than ${COMPILE_MS} ms to be understood`;

function usable(schema: JsonObject, text: string): OwnSchema | string {
  if (schema.$async !== undefined) return NOT_ASYNC;
  const validate = schemaValidator(schema);
  try {
    const problem = withinTime(COMPILE_MS, () => {
      const wrong = problemOfSchema(schema);
      // It compiles on first use, and what fails then is the schema's fault and not the input's.
      if (wrong === null) void validate({});
      return wrong;
    });
    if (problem === null) return TOO_LONG;
    return problem.value ?? { validate, size: UNEVEN.test(text) ? Number.POSITIVE_INFINITY : text.length };
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}

/** Characters of what may be held against the schema. */
const sizeOf = (given: Assignment): number =>
  (given.results ?? []).reduce((sum, [, , result]) => sum + (result.state === 'complete' ? result.body.length : 0), given.input.length);

function refusal(answer: ValidationResult, name: string, schema: string): AttemptOutcome | null {
  if (answer.ok) return null;
  const issues = answer.issues.slice(0, MAX_ISSUES).map(({ path, message }) => `${name}${path === '' || path.startsWith('[') ? '' : '.'}${path} ${message}`);
  const more = answer.issues.length - issues.length;
  return finalFailure(
    'invalid_input',
    `the ${name} do${name === 'input' ? 'es' : ''} not fit ${schema}: ${issues.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
  );
}
