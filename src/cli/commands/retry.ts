import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';
import { printable } from '../terminal.ts';

export const addRetry = (program: Command, ctx: CommandContext): void => {
  program
    .command('retry')
    .description('run again what failed of a task, and what depends on it')
    .argument('<task>', 'id of the task')
    .option('-s, --step <step>', 'only this step, by name or id')
    .action(async (id: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { step?: string; json?: boolean }>();
      if (o.step !== undefined) {
        const step = await ctx.client(o).resetStep(id, o.step);
        return o.json ? ctx.json(step) : ctx.line(`${printable(step.name)} ${step.current_state}`);
      }
      const task = await ctx.client(o).resetTask(id);
      if (o.json) return ctx.json(task);
      ctx.line(`${task.status}; ${task.completed_steps} of ${task.total_steps} steps keep their results`);
    });
};
