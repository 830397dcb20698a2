import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';
import { duration, printable } from '../terminal.ts';
import { drawTask, exitCodeOfTask, watchTask } from '../watch-task.ts';
import type { WireStep, WireTask } from '../../contract/wire.ts';

const originWords = ({ type, task_uuid: of }: NonNullable<WireTask['origin']>): string => {
  switch (type) {
    case 'archive':
      return `archive of ${of}: how everything stood then; nothing of it runs or changes`;
    case 'link':
      return `link to ${of}: its results are read from there`;
    case 'mixed':
      return `copy of ${of}, with some steps linked`;
    default:
      return `copy of ${of}`;
  }
};

const describeTask = (task: WireTask): string[] => {
  const facts: [string, string][] = [];
  if (task.origin !== null) facts.push(['origin', originWords(task.origin)]);
  if (task.tags.length > 0) facts.push(['tags', task.tags.join(', ')]);
  if (task.reason !== '') facts.push(['reason', task.reason]);
  facts.push(['priority', String(task.priority)], ['created', `${task.created_at} by ${task.initiator}`]);
  if (task.completed_at !== null) facts.push(['ended', task.completed_at]);
  if (task.failed_steps.length > 0) facts.push(['failed', task.failed_steps.join(', ')]);
  if (task.stopping > 0) facts.push(['stopping', `${task.stopping} attempts have not returned yet`]);
  if (task.error !== null) facts.push(['error', task.error.message]);
  return facts.map(([k, v]) => `  ${k.padEnd(9)} ${printable(v)}`);
};

const describeStep = (step: WireStep): string[] => [
  `${printable(step.name)}  ${step.current_state}${step.reason === null ? '' : ` (${step.reason})`}`,
  `  id        ${step.step_uuid}`,
  `  handler   ${printable(step.handler)}`,
  `  attempts  ${step.attempts} of ${Math.max(1, step.max_attempts)}`,
  ...(step.dependencies.length === 0 ? [] : [`  after     ${step.dependencies.map((d) => printable(d.name) + (d.required ? '' : ' (optional)')).join(', ')}`]),
  ...(step.started_at === null ? [] : [`  started   ${step.started_at}`]),
  ...(step.started_at === null || step.completed_at === null ? [] : [`  took      ${duration(Date.parse(step.completed_at) - Date.parse(step.started_at))}`]),
  ...(step.next_retry_at === null ? [] : [`  retry at  ${step.next_retry_at}`]),
  ...(step.error === null ? [] : [`  error     ${step.error.code}: ${printable(step.error.message)}`]),
  ...(step.results === undefined || step.results === null ? [] : [`  result    ${JSON.stringify(step.results)}`]),
];

export const addShow = (program: Command, ctx: CommandContext): void => {
  program
    .command('show')
    .description('show a task as a tree of its steps, or one step of it')
    .argument('<task>', 'id of the task')
    .argument('[step]', 'name or id of a step: its result, error and attempts')
    .option('-w, --watch', 'follow the task to its end; exit 1 unless it completes')
    .action(async (id: string, ref: string | undefined, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { watch?: boolean; json?: boolean }>();
      const client = ctx.client(o);
      if (ref !== undefined) {
        const step = await client.step(id, ref);
        return o.json ? ctx.json(step) : ctx.lines(describeStep(step));
      }
      if (o.watch) {
        ctx.exitCode = exitCodeOfTask(await watchTask(ctx, client, id, { json: o.json }));
        return;
      }
      const task = await client.task(id);
      if (o.json) return ctx.json(task);
      ctx.lines(drawTask(task, { now: Date.now(), width: ctx.out.columns, paint: ctx.out.paint }));
      ctx.lines(describeTask(task));
    });
};
