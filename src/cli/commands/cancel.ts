import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';

export const addCancel = (program: Command, ctx: CommandContext): void => {
  program
    .command('cancel')
    .description('cancel a task: it ends at once, running handlers are told to stop')
    .argument('<task>', 'id of the task')
    .option('-r, --reason <text>', 'kept as the error of what is cancelled', 'Cancelled by user')
    .action(async (id: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { reason: string; json?: boolean }>();
      const task = await ctx.client(o).cancel(id, o.reason);
      if (o.json) return ctx.json(task);
      ctx.line(`${task.status}${task.stopping > 0 ? `; ${task.stopping} running ${task.stopping === 1 ? 'handler was' : 'handlers were'} told to stop` : ''}`);
    });
};
