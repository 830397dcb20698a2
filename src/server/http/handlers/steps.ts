/** /v1/tasks/{id}/workflow_steps: steps, their audit and what their handlers logged. */
import { auditToWire, logLineToWire, stepToWire } from '../../../contract/to-wire.ts';
import type { Handlers } from '../call.ts';
import { sendArray } from '../json-array.ts';

export const stepHandlers: Handlers<'listSteps' | 'getStep' | 'findStep' | 'cancelStep' | 'stepAudit' | 'stepLog'> = {
  async listSteps({ engine, params, query, reply }) {
    const results = query.results !== 'false';
    const steps = await engine.steps(params.id, { results, inputs: query.inputs === 'true', includeNotTaken: query.not_taken === 'true' });
    return sendArray(reply, steps, (s) => stepToWire(s, { results }));
  },

  async getStep({ engine, params }) {
    return stepToWire(await engine.step(params.id, params.step), { results: true });
  },

  async findStep({ engine, params }) {
    return stepToWire(await engine.findElement(params.step), { results: true });
  },

  async cancelStep({ engine, params, body }) {
    return stepToWire(await engine.cancelStep(params.id, params.step, { errorMessage: body?.error_message }), { results: false });
  },

  async stepAudit({ engine, params, reply }) {
    return sendArray(reply, await engine.audit(params.id, params.step), auditToWire);
  },

  async stepLog({ engine, params, reply }) {
    return sendArray(reply, await engine.attemptLog(params.id, params.step), logLineToWire);
  },
};
