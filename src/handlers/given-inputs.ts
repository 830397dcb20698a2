import type { UntypedStepContext } from '../sdk/step-types.ts';

/** The merged inputs where the step has them, as elements of trees do; else its input. */
export function givenInputs(ctx: UntypedStepContext): unknown {
  try {
    return ctx.inputs;
  } catch (e) {
    if ((e as { code?: unknown }).code === 'inputs_not_merged') return ctx.input;
    throw e;
  }
}
