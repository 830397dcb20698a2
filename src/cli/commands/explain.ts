import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';
import { printable } from '../terminal.ts';

export const addExplain = (program: Command, ctx: CommandContext): void => {
  program
    .command('explain')
    .description('say why steps are not running, or what they are doing')
    .argument('<task>', 'id of the task')
    .argument('[step]', 'name or id of one step; default: all that have not ended')
    .action(async (id: string, ref: string | undefined, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { json?: boolean }>();
      const all = await ctx.client(o).explain(id, ref);
      if (o.json) return ctx.json(all);
      const open = ref === undefined ? all.filter((e) => !e.gates.some((g) => g.kind === 'terminal')) : all;
      if (open.length === 0) return ctx.line('every step has ended');
      for (const step of open) {
        ctx.line(`${ctx.out.paint('bold', printable(step.name))}  ${step.current_state}${step.runnable ? ', ready: waits for its turn' : ''}`);
        for (const gate of step.gates) ctx.line(`  ${gate.kind.padEnd(18)} ${printable(gate.message)}`);
      }
    });
};
