import type { Command } from 'commander';
import { type ClientOptions, type CommandContext, wholeNumber } from '../context.ts';
import { duration, printable, table } from '../terminal.ts';
import { templateOf } from '../wire-tree.ts';

interface LsOptions extends ClientOptions {
  status?: string;
  namespace?: string;
  name?: string;
  tplVersion?: string;
  initiator?: string;
  sourceSystem?: string;
  tag?: string;
  key?: string;
  limit: number;
  cursor?: string;
  json?: boolean;
}

export const addLs = (program: Command, ctx: CommandContext): void => {
  program
    .command('ls')
    .description('list tasks, newest first')
    .option('-s, --status <state,…>', 'in any of these states')
    .option('-n, --namespace <name>', 'of templates in this namespace')
    .option('--name <name>', 'of templates with this name')
    .option('--tpl-version <version>', 'of templates with this version')
    .option('--initiator <name>', 'submitted by')
    .option('--source-system <name>', 'submitted from')
    .option('-t, --tag <tag>', 'with this tag')
    .option('-k, --key <key>', 'submitted with this key, live or ended')
    .option('-l, --limit <n>', 'how many, at most 100', wholeNumber('--limit', 1, 100), 25)
    .option('--cursor <cursor>', 'the next page, as the last one named it')
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<LsOptions>();
      const list = await ctx.client(o).list({
        status: o.status,
        namespace: o.namespace,
        name: o.name,
        version: o.tplVersion,
        initiator: o.initiator,
        source_system: o.sourceSystem,
        tag: o.tag,
        key: o.key,
        limit: o.limit,
        cursor: o.cursor,
      });
      if (o.json) return ctx.json(list);
      if (list.tasks.length === 0) return ctx.err.write('no tasks\n');
      const now = Date.now();
      ctx.lines(
        table(
          ['ID', 'TEMPLATE', 'STATE', 'STEPS', 'AGE'],
          list.tasks.map((t) => [
            t.task_uuid,
            printable(templateOf(t)),
            t.status,
            `${t.completed_steps}/${t.total_steps}`,
            duration(now - Date.parse(t.created_at)),
          ]),
          ctx.out.paint,
        ),
      );
      if (list.next_cursor !== null) ctx.err.write(`more: --cursor ${list.next_cursor}\n`);
    });
};
