/** /v1/trees: trees of elements as tasks. */
import { Readable } from 'node:stream';
import { stepToWire, taskToWire, treeSubmittedToWire, treeToWire } from '../../../contract/to-wire.ts';
import type { JsonObject } from '../../../core/definition.ts';
import { TuttiError } from '../../../core/errors.ts';
import type { TreeRequest } from '../../../engine/views.ts';
import type { Call, Handlers } from '../call.ts';
import { sendArray } from '../json-array.ts';
import { jsonLines } from '../json-lines.ts';

export const treeHandlers: Handlers<'createTree' | 'getTree' | 'executeTree' | 'addSteps'> = {
  async createTree({ engine, query, body, reply }) {
    const submitted = await engine.trySubmitTree(submission(query, body));
    reply.code(201).header('location', `/v1/trees/${submitted.task.id}`);
    return treeSubmittedToWire(submitted);
  },

  async getTree({ engine, params, query }) {
    return treeToWire(await engine.tree(params.id, query));
  },

  async executeTree({ engine, params }) {
    return taskToWire(await engine.executeTree(params.id));
  },

  async addSteps({ engine, params, body, reply }) {
    const added = await engine.addSteps(params.id, body.tasks);
    return sendArray(reply.code(201), added, (s) => stepToWire(s, { results: false }));
  },
};

/** An address and a body that say different things are a mistake, and nobody could tell which one. */
function refuseContradiction(address: Record<string, unknown>, body: Record<string, unknown>): void {
  for (const [field, said] of Object.entries(address)) {
    if (said === undefined || body[field] === undefined || JSON.stringify(said) === JSON.stringify(body[field])) continue;
    throw new TuttiError('INVALID_INPUT', `${field} in the address and ${field} in the body differ`, { field });
  }
}

function submission(query: Call<'createTree'>['query'], body: Call<'createTree'>['body'] | Readable): TreeRequest {
  const asked: Omit<TreeRequest, 'elements'> = {
    execute: query.execute === undefined ? undefined : query.execute === 'true',
    key: query.key,
    tags: query.tag,
    priority: query.priority,
  };
  if (body instanceof Readable) return { ...asked, elements: jsonLines(body) };
  refuseContradiction(asked, body);
  return {
    elements: body.tasks,
    execute: body.execute ?? asked.execute,
    key: body.key ?? asked.key,
    tags: body.tags ?? asked.tags,
    priority: body.priority ?? asked.priority,
    initiator: body.initiator,
    sourceSystem: body.source_system,
    reason: body.reason,
    correlationId: body.correlation_id,
    parentCorrelationId: body.parent_correlation_id,
    options: body.options as JsonObject | undefined,
  };
}
