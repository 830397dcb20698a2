/** Copies, links and archives of tasks. */
import type { z } from 'zod';
import type { mixedRequest } from '../../../contract/copy-routes.ts';
import { taskToWire } from '../../../contract/to-wire.ts';
import type { JsonObject } from '../../../core/definition.ts';
import type { CopyRequest } from '../../../engine/views.ts';
import type { Call, Handlers } from '../call.ts';

type CopyHandlers = Handlers<'copyTask' | 'linkTask' | 'archiveTask' | 'mixTask'>;

export const copyHandlers: CopyHandlers = {
  copyTask: (call) => make(call, 'copy', call.body),
  linkTask: (call) => make(call, 'link', call.body),
  archiveTask: (call) => make(call, 'archive', call.body),
  mixTask: (call) => make(call, 'mixed', call.body),
};

async function make(
  { engine, params, reply }: Pick<Call<'copyTask'>, 'engine' | 'params' | 'reply'>,
  mode: CopyRequest['mode'],
  body: Partial<z.output<typeof mixedRequest>> = {},
): Promise<ReturnType<typeof taskToWire> | JsonObject[]> {
  const { overrides: o } = body;
  const request: CopyRequest = {
    mode,
    element: body.element,
    recursive: body.recursive,
    includeDependencies: body.include_dependencies,
    includeDependents: body.include_dependents,
    link: body.link,
    overrides:
      o === undefined
        ? undefined
        : {
            ...present({ inputs: o.inputs, params: o.params as JsonObject | undefined, priority: o.priority, userId: o.user_id }),
            ...present({ elements: o.elements as NonNullable<CopyRequest['overrides']>['elements'] }),
          },
    tags: body.tags,
    execute: body.execute,
  };
  if (body.save === false) {
    reply.code(200);
    return await engine.previewCopy(params.id, request);
  }
  const task = await engine.copy(params.id, request, 'refuse');
  reply.code(201).header('location', `/v1/tasks/${task.id}`);
  return taskToWire(task);
}

const present = <T extends object>(fields: T): Partial<T> => Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined)) as Partial<T>;
