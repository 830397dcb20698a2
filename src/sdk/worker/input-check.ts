/** Holds the inputs of an attempt against the schema of its handler and against the step's own, before any code of the user runs. */
import type { JsonObject } from '../../core/definition.ts';
import type { InputValidator } from '../../engine/facade.ts';
import type { Assignment, AttemptOutcome } from '../../engine/worker-port.ts';
import { problemOfSchema, schemaValidator } from '../input-schema.ts';
import type { UntypedStepContext } from '../step-types.ts';
import { finalFailure } from './attempt-failure.ts';

/** Schemas of steps kept compiled. Compiling takes milliseconds; the elements of a tree often share one. */
const KEPT = 200;
/** Problems told of one input; further ones say nothing new. */
const MAX_ISSUES = 5;

export class InputCheck {
  readonly #compiled = new Map<string, InputValidator | string>();

  /** Null: the inputs fit. Throws what the validator throws. */
  async problem(given: Assignment, ctx: UntypedStepContext, ofHandler: InputValidator | null): Promise<AttemptOutcome | null> {
    // Too much to be merged: `ctx.inputs` throws, so no code sees inputs that nobody has checked.
    if (given.mergedInputs && given.results === null) return null;
    const name = given.mergedInputs ? 'inputs' : 'input';
    const value: unknown = given.mergedInputs ? ctx.inputs : ctx.input;
    if (given.inputSchema !== undefined) {
      const validate = this.#ofStep(given.inputSchema);
      if (typeof validate === 'string') {
        return finalFailure('invalid_input_schema', `the input schema of step ${JSON.stringify(given.stepName)} cannot be used: ${validate}`);
      }
      const found = await refusal(validate, value, name, `the input schema of step ${JSON.stringify(given.stepName)}`);
      if (found !== null) return found;
    }
    return ofHandler === null ? null : await refusal(ofHandler, value, name, `the input schema of handler ${JSON.stringify(given.handler)}`);
  }

  /** Text: what is wrong with the schema. */
  #ofStep(schema: JsonObject): InputValidator | string {
    // By text: a task that was loaded again has equal schemas, not the same ones.
    const text = JSON.stringify(schema);
    let found = this.#compiled.get(text);
    if (found !== undefined) this.#compiled.delete(text);
    else found = usable(schema);
    this.#compiled.set(text, found);
    if (this.#compiled.size > KEPT) this.#compiled.delete(this.#compiled.keys().next().value as string);
    return found;
  }
}

function usable(schema: JsonObject): InputValidator | string {
  // An asynchronous schema would answer with a promise, which counts as a yes, and reject it where nobody listens.
  if (schema.$async !== undefined) return '$async is not supported';
  const problem = problemOfSchema(schema);
  if (problem !== null) return problem;
  const validate = schemaValidator(schema);
  try {
    // It compiles on first use, and what fails then is the schema's fault and not the input's.
    void validate({});
    return validate;
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}

async function refusal(validate: InputValidator, value: unknown, name: string, schema: string): Promise<AttemptOutcome | null> {
  const answer = await validate(value);
  if (answer.ok) return null;
  const issues = answer.issues.slice(0, MAX_ISSUES).map(({ path, message }) => `${name}${path === '' || path.startsWith('[') ? '' : '.'}${path} ${message}`);
  const more = answer.issues.length - issues.length;
  return finalFailure(
    'invalid_input',
    `the ${name} do${name === 'input' ? 'es' : ''} not fit ${schema}: ${issues.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
  );
}
