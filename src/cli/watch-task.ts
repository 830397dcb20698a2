/**
 * Follows a task to its end over the event stream. On a terminal: a tree of steps, drawn again as things happen. Elsewhere: one line
 * an event; with `json`, one JSON object a line.
 */
import type { WireTask, WireTaskEvent } from '../contract/wire.ts';
import type { HttpClient } from '../sdk/client/http-client.ts';
import type { CommandContext } from './context.ts';
import { CommandError, EXIT } from './exit-code.ts';
import { LiveRegion } from './live-region.ts';
import { drawStepTree, drawTaskLine } from './step-tree.ts';
import { clockTime, duration, printable } from './terminal.ts';
import { treeStep, treeTask } from './wire-tree.ts';

const REDRAW_MS = 100;

/** A task of very many steps comes without them; then its own line has to do. */
export const drawTask = (task: WireTask, o: Parameters<typeof drawStepTree>[2]): string[] =>
  task.steps == null
    ? [
        drawTaskLine(treeTask(task), o),
        `  ${task.completed_steps} of ${task.total_steps} steps complete, ${task.in_progress_steps} in progress, ${task.failed_steps_count} failed`,
      ]
    : drawStepTree(treeTask(task), task.steps.map(treeStep), o);

/** One event as a line of text. */
export const eventLine = (event: Pick<WireTaskEvent, 'at' | 'type' | 'data'>): string => {
  const d = event.data as Record<string, unknown>;
  const word = (v: unknown): string => (typeof v === 'string' || typeof v === 'number' ? printable(String(v)) : '');
  const text = (key: string): string => word(d[key]);
  const at = clockTime(Date.parse(event.at));
  const error = typeof d.error === 'object' && d.error !== null ? `: ${word((d.error as { message?: unknown }).message)}` : '';
  const step = text('step');
  switch (event.type) {
    case 'task.state':
      return `${at}  task is ${text('state')}${error}`;
    case 'step.state': {
      const attempt = Number(d.attempt ?? 0);
      const retry = typeof d.retry_at === 'number' ? `, next attempt in ${duration(d.retry_at - Date.parse(event.at))}` : '';
      return `${at}  ${step}  ${text('state')}${attempt > 0 ? `  attempt ${attempt}` : ''}${text('reason') && `  ${text('reason')}`}${error}${retry}`;
    }
    case 'step.progress':
      return `${at}  ${step}  ${Math.round(Number(d.fraction ?? 0) * 100)} %${text('message') && `  ${text('message')}`}`;
    case 'step.added':
      return `${at}  ${step}  added${text('parent') && `  below ${text('parent')}`}`;
    case 'step.attempt':
      return `${at}  ${step}  attempt ended: ${text('outcome')}${error}`;
    case 'steps.ended':
      return `${at}  ${text('count')} steps not begun ended with the task`;
    default:
      return `${at}  ${printable(event.type)}  ${printable(JSON.stringify(event.data))}`;
  }
};

/** Resolves with the task as it ended. Throws CommandError(interrupted) when the person stopped watching: the task goes on. */
export const watchTask = async (ctx: CommandContext, client: HttpClient, id: string, o: { json?: boolean } = {}): Promise<WireTask> => {
  const final = o.json || !ctx.out.live ? await followLines(ctx, client, id, o.json === true) : await followTree(ctx, client, id);
  if (ctx.interrupted.aborted) throw new CommandError(EXIT.interrupted, `stopped watching; the task goes on: tutti show ${id} --watch`);
  if (o.json) ctx.line(JSON.stringify({ task: final }));
  return final;
};

const followLines = async (ctx: CommandContext, client: HttpClient, id: string, json: boolean): Promise<WireTask> => {
  // How it stands now may be its end already, and what follows tells the way there.
  const { template } = treeTask(await client.task(id));
  if (!json) ctx.line(`${printable(template)}  ${id}`);
  for await (const event of client.events(id, { signal: ctx.interrupted })) ctx.line(json ? JSON.stringify({ event }) : eventLine(event));
  const task = await client.task(id);
  if (!json && !ctx.interrupted.aborted) ctx.lines(drawTask(task, { now: Date.now() }));
  return task;
};

const followTree = async (ctx: CommandContext, client: HttpClient, id: string): Promise<WireTask> => {
  const region = new LiveRegion(ctx.out);
  let task = await client.task(id);
  let stale = false;
  let lost = false;
  const draw = (): void => {
    const lines = drawTask(task, { now: Date.now(), width: ctx.out.columns, maxLines: Math.max(6, ctx.out.rows - 2), paint: ctx.out.paint });
    region.draw(lost ? [...lines, ctx.out.paint('yellow', '  the server does not answer; trying again')] : lines);
  };
  const refresh = { running: false };
  const timer = setInterval(() => {
    if (stale && !refresh.running) {
      stale = false;
      refresh.running = true;
      // A view that cannot be had now is had at the next round or at the end; the stream itself says when the server is gone.
      client.task(id).then(
        (t) => {
          if (refresh.running) task = t;
          refresh.running = false;
        },
        () => {
          stale = true;
          refresh.running = false;
        },
      );
    }
    draw();
  }, REDRAW_MS);
  try {
    draw();
    for await (const event of client.events(id, { signal: ctx.interrupted, onReconnect: () => (lost = true) })) {
      lost = false;
      stale = true;
      if (event.last) break;
    }
  } finally {
    clearInterval(timer);
  }
  if (!ctx.interrupted.aborted) {
    // An older view that is still on its way must not be drawn over the last one.
    refresh.running = false;
    task = await client.task(id);
    draw();
  }
  region.keep();
  return task;
};

/** The command's code for where a task ended. */
export const exitCodeOfTask = (task: Pick<WireTask, 'status'>): number =>
  task.status === 'complete' || task.status === 'resolved_manually' ? EXIT.ok : EXIT.taskFailed;
