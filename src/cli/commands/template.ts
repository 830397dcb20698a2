import type { Command } from 'commander';
import type { WireTemplateDetail } from '../../contract/wire.ts';
import { traitsOf } from '../../sdk/plans/task-type-traits.ts';
import { type ClientOptions, type CommandContext, parseTemplateRef } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { idOf, loadFiles } from '../load-files.ts';
import { duration, printable, table } from '../terminal.ts';

const describe = (t: WireTemplateDetail): string[] => {
  const rows = t.steps.map((s) => [
    printable(s.name),
    printable(s.dependencies.map((d) => d.name + (d.required ? '' : '?')).join(', ')) || '-',
    s.retry.retryable ? `${Math.max(1, s.retry.max_attempts)} ${s.retry.backoff}` : '1',
    s.timeout_seconds === null ? '-' : duration(s.timeout_seconds * 1000),
    printable(s.handler.callable),
  ]);
  return [
    `${printable(`${t.namespace}/${t.name}@${t.version}`)}${t.revision > 1 ? `  revision ${t.revision}` : ''}${t.registered ? '' : '  (its code is not loaded)'}`,
    ...(t.description === null ? [] : [`  ${printable(t.description)}`]),
    '',
    ...table(['STEP', 'AFTER', 'ATTEMPTS', 'TIMEOUT', 'HANDLER'], rows, (_, text) => text),
    ...(t.input_schema === null
      ? []
      : [
          '',
          'input',
          ...JSON.stringify(t.input_schema, null, 2)
            .split('\n')
            .map((l) => `  ${printable(l)}`),
        ]),
  ];
};

/** As a task without a version takes it: the highest release, else the highest pre-release. They come in ascending order. */
const newest = (versions: readonly { version: string }[]): string =>
  (versions.findLast((v) => !/^[^+]*-/.test(v.version)) ?? versions[versions.length - 1]).version;

export const addTemplate = (program: Command, ctx: CommandContext): void => {
  const group = program.command('template').description('look at templates, or check template files');

  group
    .command('ls')
    .description('list templates')
    .option('-n, --namespace <name>', 'in this namespace')
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { namespace?: string; json?: boolean }>();
      const list = await ctx.client(o).templates(o.namespace);
      if (o.json) return ctx.json(list);
      if (list.templates.length === 0) return ctx.err.write('no templates\n');
      ctx.lines(
        table(
          ['TEMPLATE', 'STEPS', 'CODE', 'DESCRIPTION'],
          list.templates.map((t) => [
            printable(`${t.namespace}/${t.name}@${t.version}`),
            String(t.step_count),
            t.registered ? 'loaded' : 'no',
            printable(t.description ?? ''),
          ]),
          ctx.out.paint,
        ),
      );
    });

  group
    .command('show')
    .description('show the steps and the input schema of a template')
    .argument('<template>', 'namespace/name@version; without a version the highest release')
    .action(async (text: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ClientOptions & { json?: boolean }>();
      const ref = parseTemplateRef(text);
      const client = ctx.client(o);
      const version = ref.version ?? newest((await client.versions(ref.namespace, ref.name)).versions);
      const detail = await client.template(ref.namespace, ref.name, version);
      if (o.json) ctx.json(detail);
      else ctx.lines(describe(detail));
    });

  group
    .command('validate')
    .description('check template files without a server; exit 2 if one is wrong')
    .argument('<file...>', 'YAML, JSON, TypeScript or JavaScript')
    .action(async (files: string[], _: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const results: { file: string; templates: string[]; task_types: string[]; error: string | null }[] = [];
      for (const file of files) {
        try {
          const { templates, taskTypes } = await loadFiles([file], ctx.io.cwd);
          for (const t of templates) if (typeof t.definition === 'function') t.definition();
          results.push({ file, templates: templates.map(idOf), task_types: taskTypes.map((t) => traitsOf(t).name), error: null });
        } catch (e) {
          results.push({ file, templates: [], task_types: [], error: (e as Error).message });
        }
      }
      if (json) ctx.json(results);
      else {
        for (const r of results) {
          const found = [...r.templates, ...r.task_types.map((name) => `task type ${name}`)];
          if (r.error === null) ctx.line(`${r.file}: ${found.length === 0 ? 'holds no template' : `ok, ${found.join(', ')}`}`);
          else ctx.err.write(`${ctx.err.paint('red', 'error:')} ${r.error.startsWith(r.file) ? '' : `${r.file}: `}${r.error}\n`);
        }
      }
      if (results.some((r) => r.error !== null || r.templates.length + r.task_types.length === 0)) ctx.exitCode = EXIT.usage;
    });
};
