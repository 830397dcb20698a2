/** Handlers that every Tutti has. One that a user registers under the same name goes before it. */
import type { JsonObject } from '../core/definition.ts';
import { type HandlerDefinition, handler } from '../sdk/handler-registry.ts';
import type { StandardSchema } from '../sdk/standard-schema.ts';
import { aggregateResults } from './aggregate-results.ts';
import { RESOURCE_SCHEMA, systemInfo } from './system-info.ts';

/** A schema that is shown and not enforced. One of plain JSON would have Ajv loaded at every start to check what a test has checked. */
const shown = (schema: JsonObject): StandardSchema => ({
  '~standard': { version: 1, vendor: 'tutti', validate: (value) => ({ value }), jsonSchema: { input: () => schema } },
});

/** `now`: milliseconds since 1970 (I12). */
export const builtInHandlers = (now: () => number): HandlerDefinition[] => [
  handler('system_info', systemInfo, {
    description: 'Facts about the machine: CPU, memory, disk.',
    tags: ['built-in', 'system'],
    aliases: ['system_info_executor'],
    inputSchema: RESOURCE_SCHEMA,
    source: 'built-in',
  }),
  handler('aggregate_results', aggregateResults(now), {
    description: 'Gathers the results of all dependencies, by name and by id.',
    tags: ['built-in', 'aggregate'],
    aliases: ['aggregate_results_executor'],
    outputSchema: shown({
      type: 'object',
      required: ['summary', 'timestamp', 'results', 'results_by_id', 'result_count', 'failed'],
      properties: {
        summary: { type: 'string' },
        timestamp: { type: 'string', format: 'date-time' },
        results: { type: 'object' },
        results_by_id: { type: 'object' },
        result_count: { type: 'integer', minimum: 0 },
        failed: { type: 'array', items: { type: 'object', required: ['name', 'id', 'state'] } },
      },
    }),
    source: 'built-in',
  }),
];
