/** Reset of a task or a step: what failed runs again. */
import { stepToWire, taskToWire } from '../../../contract/to-wire.ts';
import type { Handlers } from '../call.ts';

export const resetHandlers: Handlers<'resetTask' | 'resetStep'> = {
  async resetTask({ engine, params }) {
    return taskToWire(await engine.reset(params.id));
  },

  async resetStep({ engine, params }) {
    await engine.reset(params.id, params.step);
    return stepToWire(await engine.step(params.id, params.step), { results: true });
  },
};
