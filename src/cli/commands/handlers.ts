import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';
import { printable, table } from '../terminal.ts';

export const addHandlers = (program: Command, ctx: CommandContext): void => {
  program
    .command('handlers')
    .description('list the handlers that the server can run')
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { json?: boolean }>();
      const { handlers, total_count } = await ctx.client(o).handlers();
      if (o.json) return ctx.json({ handlers, total_count });
      if (handlers.length === 0) return ctx.err.write('no handlers\n');
      ctx.lines(
        table(
          ['HANDLER', 'TAGS', 'CANCEL', 'HOOKS', 'DESCRIPTION'],
          handlers.map((h) => [
            printable([h.id, ...h.aliases].join(', ')),
            printable(h.tags.join(', ')),
            h.cancelable ? 'yes' : 'no',
            [...(h.has_finalize ? ['finalize'] : []), ...(h.has_on_abort ? ['onAbort'] : [])].join(', '),
            printable(h.description ?? ''),
          ]),
          ctx.out.paint,
        ),
      );
    });
};
