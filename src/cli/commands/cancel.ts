import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';

export const addCancel = (program: Command, ctx: CommandContext): void => {
  program
    .command('cancel')
    .description('cancel a task or one step: it ends at once, running handlers are told to stop')
    .argument('<task>', 'id of the task')
    .option('-s, --step <step>', 'only this step, by id or name, with what hangs on it')
    .option('-r, --reason <text>', 'kept as the error of what is cancelled', 'Cancelled by user')
    .action(async (id: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { reason: string; step?: string; json?: boolean }>();
      if (o.step !== undefined) {
        const step = await ctx.client(o).cancelStep(id, o.step, o.reason);
        if (o.json) return ctx.json(step);
        return ctx.line(`${step.current_state}${step.stopping ? '; its handler has not returned yet' : ''}`);
      }
      const task = await ctx.client(o).cancel(id, o.reason);
      if (o.json) return ctx.json(task);
      ctx.line(`${task.status}${task.stopping > 0 ? `; ${task.stopping} running ${task.stopping === 1 ? 'handler was' : 'handlers were'} told to stop` : ''}`);
    });
};
