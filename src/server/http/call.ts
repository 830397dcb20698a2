/** What the handler of a route gets and gives. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { HandlerName, RouteInput, RouteOutput } from '../../contract/routes.ts';
import type { EngineFacade } from '../../engine/facade.ts';
import type { Caller } from '../../engine/resource-port.ts';
import type { Tables } from '../../tables/tables.ts';
import type { HttpCounters } from './http-counters.ts';
import type { RowBodies } from './row-bodies.ts';
import type { EventStreams } from './sse.ts';

export interface Services {
  engine: EngineFacade;
  /** Null: this process has none. */
  tables: Tables | null;
  now: () => number;
  /** Lets others have the loop, for whoever makes a long answer. */
  pause: () => Promise<void>;
  startedAt: number;
  version: string;
  counters: HttpCounters;
  streams: EventStreams;
  rowBodies: RowBodies;
  /** Built when it is first asked for. */
  openApi: () => Record<string, unknown>;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent it: set once its key was looked at. */
    caller: Caller;
  }
}

export type Call<N extends HandlerName> = RouteInput<N> & {
  services: Services;
  engine: EngineFacade;
  caller: Caller;
  request: FastifyRequest;
  reply: FastifyReply;
};

/** `undefined`: it answered by itself. */
export type Answer<N extends HandlerName> = RouteOutput<N> | FastifyReply | undefined;
export type Handler<N extends HandlerName> = (call: Call<N>) => Answer<N> | Promise<Answer<N>>;
export type Handlers<Names extends HandlerName = HandlerName> = { [N in Names]: Handler<N> };
