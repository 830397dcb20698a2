/** The log of all tasks: a page of it, or followed as it grows. */
import type { Command } from 'commander';
import type { WireGlobalEvent } from '../../contract/wire.ts';
import type { HttpClient } from '../../sdk/client/http-client.ts';
import { type ClientOptions, type CommandContext, wholeNumber } from '../context.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { printable } from '../terminal.ts';
import { eventLine } from '../watch-task.ts';
import { templateOf } from '../wire-tree.ts';

interface EventsOptions extends ClientOptions {
  follow?: boolean;
  after?: string;
  type?: string;
  task?: string;
  namespace?: string;
  name?: string;
  state?: string;
  limit?: number;
  json?: boolean;
}

type Filter = NonNullable<Parameters<HttpClient['allEvents']>[0]>;

export const addEvents = (program: Command, ctx: CommandContext): void => {
  program
    .command('events')
    .description('list what happened to all tasks, oldest first, or follow it')
    .option('-f, --follow', 'go on with what happens, until interrupted')
    .option('-a, --after <cursor>', 'what follows this place, as the last run named it;\nnow: only what happens from here on. Default: all that is kept')
    .option('--type <type,…>', 'of any of these types, such as task.state')
    .option('--task <id>', 'of this task')
    .option('-n, --namespace <name>', 'of tasks of templates in this namespace')
    .option('--name <name>', 'of tasks of templates with this name')
    .option('-s, --state <state,…>', 'that put a task or a step in any of these states')
    .option('-l, --limit <n>', 'how many, at most 1000 (default: 100); not with --follow', wholeNumber('--limit', 1, 1000))
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<EventsOptions>();
      const words = (text: string | undefined): string[] | undefined => text?.split(',').map((w) => w.trim());
      const filter: Filter = { after: o.after, types: words(o.type), taskId: o.task, namespace: o.namespace, name: o.name, states: words(o.state) };
      if (!o.follow) return await list(ctx, ctx.client(o), filter, o);
      if (o.limit !== undefined) throw new CommandError(EXIT.usage, '--limit and --follow exclude each other');
      await follow(ctx, ctx.client(o), filter, o.json === true);
    });
};

const line = (e: WireGlobalEvent): string => `${e.task_uuid}  ${printable(templateOf(e))}  ${eventLine(e)}`;

/** Reads on over pages that a filter left empty, until there is something to show or nothing more to read. */
const list = async (ctx: CommandContext, client: HttpClient, filter: Filter, o: EventsOptions): Promise<void> => {
  const limit = o.limit ?? 100;
  let page = await client.eventPage({ ...filter, limit });
  while (page.events.length < limit && page.has_more && !ctx.interrupted.aborted) {
    const next = await client.eventPage({ ...filter, after: page.next_cursor, limit: limit - page.events.length });
    page = { ...next, events: [...page.events, ...next.events] };
  }
  if (o.json) return ctx.json(page);
  if (page.events.length === 0) ctx.err.write('no events\n');
  ctx.lines(page.events.map(line));
  if (page.has_more) ctx.err.write(`more: --after ${page.next_cursor}\n`);
};

const follow = async (ctx: CommandContext, client: HttpClient, filter: Filter, json: boolean): Promise<void> => {
  let cursor = filter.after;
  for await (const event of client.allEvents({ ...filter, signal: ctx.interrupted })) {
    ctx.line(json ? JSON.stringify({ event }) : line(event));
    cursor = event.cursor ?? cursor;
  }
  throw new CommandError(EXIT.interrupted, `stopped; go on with: tutti events --follow${cursor === undefined ? '' : ` --after ${cursor}`}`);
};
