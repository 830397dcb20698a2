import type { Command } from 'commander';
import { type ClientOptions, type CommandContext, parseInput, parseTemplateRef, wholeNumber } from '../context.ts';
import { exitCodeOfTask, watchTask } from '../watch-task.ts';

interface RunOptions extends ClientOptions {
  input?: string;
  priority?: number;
  tag?: string[];
  reason?: string;
  watch?: boolean;
  json?: boolean;
}

export const addRun = (program: Command, ctx: CommandContext): void => {
  program
    .command('run')
    .description('submit a task')
    .argument('<template>', 'namespace/name, or namespace/name@version')
    .option('-i, --input <json|@file>', 'input as JSON, from a file, or from @- (stdin)')
    .option('-p, --priority <0-3>', '0 is urgent', wholeNumber('--priority', 0, 3))
    .option('-t, --tag <tag>', 'may be given more than once', (tag: string, all: string[] | undefined) => [...(all ?? []), tag])
    .option('--reason <text>', 'why, for whoever looks at the task later')
    .option('-w, --watch', 'follow the task to its end; exit 1 unless it completes')
    .action(async (template: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<RunOptions>();
      const ref = parseTemplateRef(template);
      const client = ctx.client(o);
      const task = await client.createTask({
        namespace: ref.namespace,
        name: ref.name,
        version: ref.version,
        context: parseInput(o.input) ?? {},
        priority: o.priority,
        tags: o.tag,
        reason: o.reason,
        initiator: 'cli',
        source_system: 'tutti-cli',
      });
      if (o.watch) ctx.exitCode = exitCodeOfTask(await watchTask(ctx, client, task.task_uuid, { json: o.json }));
      else if (o.json) ctx.json(task);
      else ctx.line(task.task_uuid);
    });
};
