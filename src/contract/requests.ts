/**
 * What the REST API takes: params, queries and bodies. Shapes and ranges only: what a context may hold, which templates exist and
 * what a state allows is the engine's to say. Unknown keys are refused by name, so that a misspelt one cannot be ignored.
 */
import { z } from 'zod';
import { taskStatus } from './status.ts';
import { components } from './wire.ts';

const PRIORITY = 'must be an integer from 0 (urgent) to 3';
const text = (max: number) => z.string().max(max, { error: `must be at most ${max} characters` });
const name = text(255).min(1, { error: 'must not be empty' });
const priority = z.number({ error: PRIORITY }).int({ error: PRIORITY }).min(0, { error: PRIORITY }).max(3, { error: PRIORITY });
const tags = z.array(text(255).min(1, { error: 'must not be empty' })).max(100, { error: 'must hold at most 100 tags' });
const uuid = z.guid({ error: 'must be a UUID' });

/** An object of any content, kept as it came. */
const anyObject = z.looseObject({}, { error: 'must be a JSON object' });

const taskRequestFields = {
  name,
  namespace: name,
  version: name.optional().describe('Absent: the highest version that is registered'),
  context: anyObject.default({}).describe('The input of the task; checked against the schema of the template'),
  priority: priority.optional().describe('0 is urgent and goes first. Absent: what the template says, else 2'),
  tags: tags.optional(),
  initiator: text(255).optional(),
  source_system: text(255).optional(),
  reason: text(2000).optional(),
  correlation_id: uuid.optional(),
  parent_correlation_id: uuid.optional(),
  options: anyObject.optional().describe('Kept with the task; the engine does not read it'),
  requested_at: z
    .string({ error: 'must be a string' })
    .max(64, { error: 'must be at most 64 characters' })
    .optional()
    .describe('Accepted and ignored: the time of receipt counts'),
};

export const taskRequest = z
  .strictObject(taskRequestFields, { error: objectError('the body must be a JSON object') })
  .register(components, { id: 'TaskRequest' });

export const bulkRequest = z
  .strictObject(
    {
      tasks: z
        .array(taskRequest, { error: 'must be an array' })
        .min(1, { error: 'must hold at least 1 task' })
        .max(1000, { error: 'must hold at most 1000 tasks' }),
    },
    { error: objectError('the body must be a JSON object') },
  )
  .register(components, { id: 'BulkCreateRequest' });

export const cancelRequest = z
  .strictObject({ error_message: text(2000).optional() }, { error: objectError('the body must be a JSON object') })
  .register(components, { id: 'CancelRequest' });

export const patchRequest = z
  .strictObject({ priority: priority.optional(), tags: tags.optional() }, { error: objectError('the body must be a JSON object') })
  .refine((b) => b.priority !== undefined || b.tags !== undefined, { error: 'the body must name priority or tags' })
  .register(components, { id: 'TaskPatchRequest' });

/** Every part of an address comes as text: a whole number written out, in range. */
const whole = (min: number, max: number) => {
  const error = `must be an integer from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};
const filter = name.optional();
const flag = z.enum(['true', 'false'], { error: 'must be true or false' });
/** `a=x,y` and `a=x&a=y` say the same. */
const splitList = (v: unknown): unknown => (Array.isArray(v) ? v : [v]).flatMap((x) => (typeof x === 'string' ? x.split(',') : [x]));
const statuses = z.preprocess(splitList, z.array(z.enum(taskStatus.options, { error: `must be any of ${taskStatus.options.join(', ')}` })));

export const PAGE_SIZE = 25;

export const noQuery = z.strictObject({});
export const listQuery = z.strictObject({
  namespace: filter,
  name: filter,
  version: filter,
  status: statuses.optional().describe('Any of the twelve; repeat it or separate with commas'),
  initiator: filter,
  source_system: filter,
  tag: filter,
  cursor: text(512).min(1, { error: 'must not be empty' }).optional().describe('next_cursor of the page before'),
  limit: whole(1, 100).optional().describe(`Tasks per answer with a cursor; default ${PAGE_SIZE}`),
  page: whole(1, 1_000_000).optional().describe('From 1; instead of cursor'),
  per_page: whole(1, 100).optional().describe(`Tasks per page; default ${PAGE_SIZE}`),
});
export const taskQuery = z.strictObject({ steps: flag.optional().describe('false leaves out the steps') });
export const stepsQuery = z.strictObject({ results: flag.optional().describe('false leaves out the results') });
export const deleteQuery = z.strictObject({
  error_message: text(2000).optional().describe('Kept as the error of what is cancelled; default "Cancelled by user"'),
  purge: flag.optional().describe('true removes a task that has ended, with its steps, events and audit'),
});
export const explainQuery = z.strictObject({ step: text(128).min(1).optional().describe('Id or name of one step') });
export const eventsQuery = z.strictObject({ after: text(32).optional().describe('Send what follows this event; as Last-Event-ID') });
export const templatesQuery = z.strictObject({ namespace: filter });

const part = z.string().min(1).max(255);
export const noParams = z.strictObject({});
export const taskParams = z.strictObject({ id: uuid });
export const stepParams = z.strictObject({ id: uuid, step: part.describe('Id or name of the step') });
export const templateNameParams = z.strictObject({ namespace: part, name: part });
export const templateParams = z.strictObject({ namespace: part, name: part, version: part });

/** Keeps zod's own words about unknown keys, and says of anything else that it is no object. */
function objectError(otherwise: string): (issue: { code?: string }) => string | undefined {
  return (issue) => (issue.code === 'unrecognized_keys' ? undefined : otherwise);
}
