/** Rows of the REST table for schedules. */
import { z } from 'zod';
import { CATCH_UPS, MAX_CATCH_UP, MAX_SECONDS, OVERLAPS } from '../core/schedule.ts';
import { addressNumber } from './address-number.ts';
import * as request from './requests.ts';
import { BODY_ERRORS } from './route-errors.ts';
import type { Route } from './routes.ts';
import * as scheduleWire from './schedule-wire.ts';
import { components } from './wire.ts';

const text = (max: number) =>
  z
    .string({ error: 'must be a string' })
    .min(1, { error: 'must not be empty' })
    .max(max, { error: `must be at most ${max} characters` });
const whole = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};
const oneOf = <const T extends readonly string[]>(values: T) => z.enum(values, { error: `must be one of ${values.join(', ')}` });
const time = text(64).describe('RFC 3339');

const key = text(255).describe('Letters, digits, ".", "_", ":", "/", "@" and "-"');
const fields = {
  description: text(1000).optional(),
  template: text(400).describe('What is fired: namespace/name@version; without version the highest release at that time'),
  context: z.looseObject({}, { error: 'must be a JSON object' }).optional().describe('Input of every task; default {}'),
  tick_field: text(100).optional().describe('Member of the context that is set to the time at which the tick was due, RFC 3339'),
  priority: whole(0, 3).optional(),
  tags: z.array(text(255), { error: 'must be an array' }).max(100, { error: 'must hold at most 100 tags' }).optional(),
  cron: text(200).optional().describe('Exactly one of cron, every_seconds and at'),
  dialect: oneOf(['unix', 'quartz'])
    .optional()
    .describe('Of cron. unix (default): 5 fields, Sunday is 0 or 7. quartz: 6 or 7 fields from seconds on, Sunday is 1'),
  time_zone: text(100).optional().describe('Of cron: an IANA name; default UTC'),
  every_seconds: whole(1, MAX_SECONDS).optional(),
  anchor: time.optional().describe('A time at which every_seconds falls; none comes before it. Default 1970-01-01T00:00:00Z'),
  at: time.optional().describe('Once'),
  overlap: oneOf(OVERLAPS).optional().describe('What a tick does while a task of an earlier one lives; default skip'),
  catch_up: oneOf(CATCH_UPS).optional().describe('Which ticks are made up for that were missed while no process ran or it was paused; default last'),
  max_catch_up: whole(1, MAX_CATCH_UP).optional().describe('Of catch_up all: the newest so many; default 100'),
  late_after_seconds: whole(1, MAX_SECONDS).optional().describe('A tick that could not be fired within this time is skipped. Default: none is'),
  paused: z.boolean({ error: 'must be true or false' }).optional().describe('Default: as it is; of a new one false'),
};
export const newSchedule = z.strictObject({ key, ...fields }).register(components, { id: 'ScheduleCreateRequest' });
export const scheduleRequest = z.strictObject(fields).register(components, { id: 'ScheduleRequest' });

const params = z.strictObject({ key: text(255) });
const { noParams, noQuery } = request;

const CHANGE = ['STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;
const PUT = [...BODY_ERRORS, 'VALUE_TOO_LARGE', 'TEMPLATE_NOT_FOUND', 'ILLEGAL_STATE'] as const;
const VERB = ['NOT_FOUND', 'ILLEGAL_STATE', ...CHANGE] as const;

const one = { tag: 'Schedules', params, query: noQuery, status: 200, response: scheduleWire.schedule } as const;

export const SCHEDULE_ROUTES = {
  createSchedule: {
    method: 'POST',
    path: '/v1/schedules',
    summary: 'Create a schedule, which fires a template by the clock',
    description: 'Answers once it is durable. 409 where there is one of that key: PUT changes it.',
    tag: 'Schedules',
    permission: 'schedules:write',
    params: noParams,
    query: noQuery,
    body: newSchedule,
    status: 201,
    response: scheduleWire.schedule,
    errors: [...PUT, 'ALREADY_EXISTS', ...CHANGE],
  },
  listSchedules: {
    method: 'GET',
    path: '/v1/schedules',
    summary: 'Schedules, by key',
    tag: 'Schedules',
    permission: 'schedules:read',
    params: noParams,
    query: z.strictObject({
      after: text(255).optional().describe('next_after of the page before'),
      limit: addressNumber(1, 1000).optional().describe('Default 100'),
    }),
    status: 200,
    response: scheduleWire.scheduleList,
    errors: ['INVALID_INPUT', 'STORE_UNAVAILABLE'],
  },
  getSchedule: {
    ...one,
    method: 'GET',
    path: '/v1/schedules/{key}',
    summary: 'A schedule with its context and what it did last',
    permission: 'schedules:read',
    errors: ['NOT_FOUND', 'STORE_UNAVAILABLE'],
  },
  putSchedule: {
    ...one,
    method: 'PUT',
    path: '/v1/schedules/{key}',
    summary: 'Create a schedule, or replace what one is',
    description:
      'The same again changes nothing. A new trigger begins now, an unchanged one keeps its place. 409 where a configuration declares it: it is changed there.',
    permission: 'schedules:write',
    body: scheduleRequest,
    errors: [...PUT, ...CHANGE],
  },
  deleteSchedule: {
    ...one,
    method: 'DELETE',
    path: '/v1/schedules/{key}',
    summary: 'Remove a schedule with the history of its ticks',
    description: 'Tasks that it made stay; ticks that wait go.',
    permission: 'schedules:write',
    status: 204,
    response: null,
    errors: VERB,
  },
  pauseSchedule: {
    ...one,
    method: 'POST',
    path: '/v1/schedules/{key}/pause',
    summary: 'No tick falls, and none that waits is fired',
    permission: 'schedules:write',
    errors: VERB,
  },
  resumeSchedule: {
    ...one,
    method: 'POST',
    path: '/v1/schedules/{key}/resume',
    summary: 'Go on; what was missed is subject to catch_up',
    permission: 'schedules:write',
    errors: VERB,
  },
  fireSchedule: {
    ...one,
    method: 'POST',
    path: '/v1/schedules/{key}/fire',
    summary: 'A tick of now, paused or not',
    description: 'Its overlap rule holds: the tick that is answered may be skipped, or pending where it waits.',
    permission: 'schedules:write',
    response: scheduleWire.tick,
    errors: VERB,
  },
  previewSchedule: {
    ...one,
    method: 'GET',
    path: '/v1/schedules/{key}/preview',
    summary: 'The next times at which it falls',
    permission: 'schedules:read',
    query: z.strictObject({ n: addressNumber(1, 100).optional().describe('Default 10') }),
    response: scheduleWire.preview,
    errors: ['INVALID_INPUT', 'NOT_FOUND'],
  },
  listTicks: {
    ...one,
    method: 'GET',
    path: '/v1/schedules/{key}/ticks',
    summary: 'What became of its ticks, newest first',
    description: 'The newest hundred are kept, and those whose task lives.',
    permission: 'schedules:read',
    query: z.strictObject({
      before: time.optional().describe('next_before of the page before'),
      limit: addressNumber(1, 1000).optional().describe('Default 100'),
    }),
    response: scheduleWire.tickList,
    errors: ['INVALID_INPUT', 'NOT_FOUND', 'STORE_UNAVAILABLE'],
  },
} as const satisfies Record<string, Route>;
