import type { Command } from 'commander';
import type { ClientOptions, CommandContext } from '../context.ts';
import { CommandError, EXIT } from '../exit-code.ts';

const MODES = ['copy', 'link', 'archive', 'mixed'] as const;

interface Options extends ClientOptions {
  mode: string;
  element?: string;
  recursive: boolean;
  withDependencies?: boolean;
  withDependents?: boolean;
  link: string[];
  overrides?: string;
  execute?: boolean;
  save: boolean;
  json?: boolean;
}

const collect = (text: string, all: string[]): string[] => [...all, ...text.split(',')];

export const addCopy = (program: Command, ctx: CommandContext): void => {
  program
    .command('copy')
    .description('make a new task of one that exists: a copy, a link, an archive, or some of its steps linked and the others copied')
    .argument('<task>', 'id of the task')
    .option('-m, --mode <mode>', MODES.join(', '), 'copy')
    .option('-e, --element <step>', 'only this step, by name or id, with what stands below it')
    .option('--no-recursive', 'the element alone')
    .option('--with-dependencies', 'and what it depends on')
    .option('--with-dependents', 'and what depends on it')
    .option('--link <steps>', 'of mode mixed: names or ids, with commas between; may be given more than once', collect, [])
    .option('--overrides <json>', 'such as {"inputs":{…},"priority":0,"elements":{"name":{…}}}')
    .option('-x, --execute', 'let it run at once')
    .option('--no-save', 'only show the elements it would have')
    .action(async (id: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Options>();
      const mode = MODES.find((m) => m === o.mode);
      if (mode === undefined) throw new CommandError(EXIT.usage, `--mode is one of ${MODES.join(', ')}, not ${o.mode}`);
      if (mode === 'mixed' && o.link.length === 0) throw new CommandError(EXIT.usage, '--mode mixed wants --link: the steps that are linked');
      if (mode !== 'mixed' && o.link.length > 0) throw new CommandError(EXIT.usage, `--link belongs to --mode mixed, not ${mode}`);
      const made = await ctx.client(o).copy(id, mode, {
        element: o.element,
        ...(o.recursive ? {} : { recursive: false }),
        include_dependencies: o.withDependencies,
        include_dependents: o.withDependents,
        link: o.link.length === 0 ? undefined : o.link,
        overrides: o.overrides === undefined ? undefined : overridesOf(o.overrides),
        execute: o.execute,
        ...(o.save ? {} : { save: false }),
      });
      if (Array.isArray(made)) return ctx.json(made);
      if (o.json) return ctx.json(made);
      ctx.line(made.task_uuid);
    });
};

function overridesOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw new CommandError(EXIT.usage, '--overrides must be a JSON object');
}
