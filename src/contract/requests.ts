/**
 * What the REST API takes: params, queries and bodies. Shapes and ranges only: what a context may hold, which templates exist and
 * what a state allows is the engine's to say. Unknown keys are refused by name, so that a misspelt one cannot be ignored.
 */
import { z } from 'zod';
import { SEMVER, VERSION_RULE } from '../core/template-rules.ts';
import { EVENT_TYPES } from '../engine/views.ts';
import { addressNumber } from './address-number.ts';
import { stepState, taskStatus } from './status.ts';
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
  version: name
    .regex(SEMVER, { error: VERSION_RULE })
    .optional()
    .describe('Absent: the highest release that is registered; a pre-release only where there is no release'),
  context: anyObject.default({}).describe('The input of the task; checked against the schema of the template'),
  priority: priority.optional().describe('0 is urgent and goes first. Absent: what the template says, else 2'),
  tags: tags.optional(),
  key: name.optional().describe('Unique among the live tasks of the template; 409 while one has it'),
  initiator: text(255).optional(),
  source_system: text(255).optional(),
  reason: text(2000).optional(),
  correlation_id: uuid.optional(),
  parent_correlation_id: uuid.optional(),
  expected_bytes: z.int().min(0).optional().describe('Size of the whole, for its progress'),
  expected_items: z.int().min(0).optional(),
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

const elements = z
  .array(z.unknown(), { error: 'must be an array' })
  .describe('Elements: id, name, parent_id, dependencies, priority, inputs, params.executor_id, schemas, user_id, children and what docs/trees.md names');

const { name: _name, namespace: _namespace, version: _version, context: _context, requested_at: _requestedAt, ...treeRequestFields } = taskRequestFields;

/** An array of elements says what an object with only `tasks` says. */
const asObject = (body: unknown): unknown => (Array.isArray(body) ? { tasks: body } : body);
const NO_TREE = objectError('the body must be an array of elements, or an object with tasks');

export const treeRequest = z
  .preprocess(
    asObject,
    z.strictObject(
      {
        tasks: elements,
        execute: z.boolean({ error: 'must be true or false' }).optional().describe('false: stored, and nothing runs until it is executed; default true'),
        ...treeRequestFields,
      },
      { error: NO_TREE },
    ),
  )
  .register(components, { id: 'TreeRequest', description: 'A tree. An array of elements is as good as an object with tasks.' });

export const addedSteps = z
  .preprocess(asObject, z.strictObject({ tasks: elements }, { error: NO_TREE }))
  .register(components, { id: 'AddedSteps', description: 'Elements. An array of them is as good as an object with tasks.' });

export const cancelRequest = z
  .strictObject({ error_message: text(2000).optional() }, { error: objectError('the body must be a JSON object') })
  .register(components, { id: 'CancelRequest' });

export const patchRequest = z
  .strictObject({ priority: priority.optional(), tags: tags.optional() }, { error: objectError('the body must be a JSON object') })
  .refine((b) => b.priority !== undefined || b.tags !== undefined, { error: 'the body must name priority or tags' })
  .register(components, { id: 'TaskPatchRequest' });

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
  key: filter.describe('Of all tasks, live or ended, that were given this key'),
  cursor: text(512).min(1, { error: 'must not be empty' }).optional().describe('next_cursor of the page before; such an answer counts nothing'),
  limit: addressNumber(1, 100).optional().describe(`Tasks per answer, with a cursor or at the beginning; default ${PAGE_SIZE}`),
  page: addressNumber(1, 1_000_000).optional().describe('From 1; instead of cursor'),
  per_page: addressNumber(1, 100).optional().describe(`Tasks per page; default ${PAGE_SIZE}`),
});
export const taskQuery = z.strictObject({ steps: flag.optional().describe('false leaves out the steps') });
export const newTaskQuery = z.strictObject({ steps: flag.optional().describe('true answers with the steps too, which takes half as long again') });
export const stepsQuery = z.strictObject({
  results: flag.optional().describe('false leaves out the results'),
  inputs: flag.optional().describe('true gives the inputs of steps that have their own'),
  not_taken: flag.optional().describe('true shows steps that no decision has chosen, too'),
});
export const newTreeQuery = z.strictObject({
  execute: flag.optional().describe('As in the body, for a body of lines'),
  key: name.optional(),
  tag: z.preprocess(splitList, tags).optional().describe('Repeat it or separate with commas'),
  priority: addressNumber(0, 3).optional(),
});
export const treeQuery = z.strictObject({
  parent: name.optional().describe('Begin below this step; id or name. Default: the task'),
  cursor: text(64).min(1, { error: 'must not be empty' }).optional().describe('next_cursor of the same parent'),
  limit: addressNumber(1, 1000).optional().describe('Children to list of each step; default 100. An answer holds 1,000 steps at most'),
  depth: addressNumber(1, 1000).optional().describe('Levels to go down; default all'),
});
export const deleteQuery = z.strictObject({
  error_message: text(2000).optional().describe('Kept as the error of what is cancelled; default "Cancelled by user"'),
  purge: flag.optional().describe('true removes a task that has ended, with its steps, events and audit'),
});
export const explainQuery = z.strictObject({ step: text(255).min(1).optional().describe('Id or name of one step') });
export const eventsQuery = z.strictObject({ after: text(32).optional().describe('Send what follows this event; as Last-Event-ID') });
const eventTypes = z.preprocess(splitList, z.array(z.enum(EVENT_TYPES, { error: `must be any of ${EVENT_TYPES.join(', ')}` })));
const anyStates = [...new Set([...taskStatus.options, ...stepState.options])];
const eventStates = z.preprocess(splitList, z.array(z.enum(anyStates, { error: `must be any of ${anyStates.join(', ')}` })));
export const allEventsQuery = z.strictObject({
  after: text(128).optional().describe('A cursor: send what follows it; as Last-Event-ID. `now`: only what comes from here on. Default: all that is kept'),
  type: eventTypes.optional().describe('Any of these types; repeat it or separate with commas'),
  task: uuid.optional().describe('Of this task'),
  namespace: filter.describe('Of tasks whose template is in this namespace'),
  name: filter.describe('Of tasks whose template has this name'),
  state: eventStates.optional().describe('That put a task or a step in any of these states; repeat it or separate with commas'),
  limit: addressNumber(1, 1000).optional().describe('Events per page, default 100; not for a stream'),
});
export const templatesQuery = z.strictObject({ namespace: filter });

const part = z.string().min(1).max(255);
export const noParams = z.strictObject({});
export const taskParams = z.strictObject({ id: uuid });
export const stepParams = z.strictObject({ id: uuid, step: part.describe('Id (generated or supplied) or name of the step') });
export const elementParams = z.strictObject({ step: part.describe('Id of the step, generated or supplied') });
export const templateNameParams = z.strictObject({ namespace: part, name: part });
export const templateParams = z.strictObject({ namespace: part, name: part, version: part });

/** Keeps zod's own words about unknown keys, and says of anything else that it is no object. */
function objectError(otherwise: string): (issue: { code?: string }) => string | undefined {
  return (issue) => (issue.code === 'unrecognized_keys' ? undefined : otherwise);
}
