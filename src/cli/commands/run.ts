import type { Command } from 'commander';
import type { WireTask } from '../../contract/wire.ts';
import { type ClientOptions, type CommandContext, parseInput, parseTemplateRef, wholeNumber } from '../context.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { readTree } from '../tree-file.ts';
import { exitCodeOfTask, watchTask } from '../watch-task.ts';

interface RunOptions extends ClientOptions {
  tree?: string;
  key?: string;
  execute?: boolean;
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
    .argument('[template]', 'namespace/name, or namespace/name@version')
    .option('--tree <file>', 'a tree of elements instead: .json, .yaml, or .ndjson (one element a line)')
    .option('--no-execute', 'with --tree: store it, and let nothing run')
    .option('-k, --key <key>', 'unique among the live tasks of the template')
    .option('-i, --input <json|@file>', 'input as JSON, from a file, or from @- (stdin)')
    .option('-p, --priority <0-3>', '0 is urgent', wholeNumber('--priority', 0, 3))
    .option('-t, --tag <tag>', 'may be given more than once', (tag: string, all: string[] | undefined) => [...(all ?? []), tag])
    .option('--reason <text>', 'why, for whoever looks at the task later')
    .option('-w, --watch', 'follow the task to its end; exit 1 unless it completes')
    .action(async (template: string | undefined, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<RunOptions>();
      const task = await submit(ctx, template, o);
      if (o.watch) ctx.exitCode = exitCodeOfTask(await watchTask(ctx, ctx.client(o), task.task_uuid, { json: o.json }));
      else if (o.json) ctx.json(task);
      else ctx.line(task.task_uuid);
    });
};

const submit = async (ctx: CommandContext, template: string | undefined, o: RunOptions): Promise<WireTask> => {
  if ((template === undefined) === (o.tree === undefined)) throw new CommandError(EXIT.usage, 'name a template, or give a tree with --tree');
  const client = ctx.client(o);
  if (o.tree !== undefined) {
    if (o.input !== undefined) throw new CommandError(EXIT.usage, '--input belongs to a template: the elements of a tree have inputs of their own');
    const query = { execute: o.execute === false ? false : undefined, key: o.key, tag: o.tag, priority: o.priority };
    return await client.createTree(readTree(o.tree, ctx.io.cwd), query);
  }
  if (o.execute === false) throw new CommandError(EXIT.usage, '--no-execute goes with --tree');
  const ref = parseTemplateRef(template!);
  return await client.createTask({
    namespace: ref.namespace,
    name: ref.name,
    version: ref.version,
    context: parseInput(o.input) ?? {},
    priority: o.priority,
    tags: o.tag,
    key: o.key,
    reason: o.reason,
    initiator: 'cli',
    source_system: 'tutti-cli',
  });
};
