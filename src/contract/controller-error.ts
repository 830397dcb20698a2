/** The body of failures below /tasks and /tables. */
import { z } from 'zod';
import { components } from './wire.ts';

export const controllerErrorBody = z
  .object({
    code: z.int().describe('The HTTP status'),
    error: z.string().describe('For people'),
    error_code: z.string().describe('Stable word; docs/errors.md lists them'),
    request_id: z.string(),
    field: z.string().optional(),
    details: z.record(z.string(), z.unknown()).optional(),
    retry_after_seconds: z.number().optional(),
  })
  .register(components, {
    id: 'ControllerErrorResponse',
    description: 'Routes below /tasks and /tables answer failures as a Pinot controller does; error_code says more.',
  });

/** Whether an address answers failures so. */
export const isControllerPath = (url: string): boolean => /^\/(tasks|tables)(?![^/?])/.test(url);

export type ControllerErrorBody = z.output<typeof controllerErrorBody>;
