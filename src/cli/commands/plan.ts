import type { Command } from 'commander';
import { type ClientOptions, type CommandContext, wholeNumber } from '../context.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { batchCount, drawPlan } from '../plan-bars.ts';
import { duration, pad, printable, table } from '../terminal.ts';
import { exitCodeOfPlan, watchPlan } from '../watch-plan.ts';

type Global = ClientOptions & { json?: boolean };

const settingsOf = (pairs: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new CommandError(EXIT.usage, `--set takes key=value, not ${JSON.stringify(pair)}`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );

const collect = (text: string, all: string[]): string[] => [...all, text];

export const addPlan = (program: Command, ctx: CommandContext): void => {
  const group = program.command('plan').description('task plans: batch after batch until nothing is left');

  group
    .command('ls')
    .description('list plans, newest first')
    .option('-r, --resource <id>', 'of this table or other resource, such as trips_OFFLINE')
    .option('-t, --type <type>', 'of this task type')
    .option('-a, --active', 'only those that are live')
    .option('-l, --limit <n>', 'how many, at most 100', wholeNumber('--limit', 1, 100), 25)
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { resource?: string; type?: string; active?: boolean; limit: number }>();
      const filter = { resource: o.resource, taskType: o.type };
      const { plans } = ctx.client(o);
      const found = o.active
        ? (await plans.active(filter)).toReversed().slice(0, o.limit)
        : await plans.recent({ ...filter, limit: o.limit, batches: o.json ? undefined : 1 });
      if (o.json) return ctx.json(found);
      if (found.length === 0) return ctx.err.write('no plans\n');
      const now = Date.now();
      ctx.lines(
        table(
          ['STATUS', 'PROCESSED', 'BATCHES', 'AGE', 'PLAN'],
          found.map((p) => [
            p.blocked === null ? p.status : `${p.status} (blocked)`,
            `${p.inputsProcessed}/${p.inputsToProcess} ${printable(p.inputUnit)}`,
            String(batchCount(p)),
            duration(now - p.createdAtMs),
            printable(p.planId),
          ]),
          ctx.out.paint,
        ),
      );
    });

  group
    .command('show')
    .description('show a plan: its progress and its last batches')
    .argument('<plan>', 'id of the plan')
    .option('-b, --batches <n>', 'how many of its batches; default 20, with --json all', wholeNumber('--batches', 0, 100_000))
    .option('-w, --watch', 'follow it to its end; exit 1 unless it completes')
    .action(async (id: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { batches?: number; watch?: boolean }>();
      if (o.watch) return follow(ctx, id, o);
      const plan = await ctx.client(o).plans.get(id, { batches: o.batches ?? (o.json ? undefined : 20) });
      if (o.json) return ctx.json(plan);
      const facts: [string, string][] = [
        ['source', plan.source + (plan.triggeredBy === null ? '' : `, by ${plan.triggeredBy}`)],
        ['created', new Date(plan.createdAtMs).toISOString()],
        ...(plan.endedAtMs === null ? [] : ([['ended', new Date(plan.endedAtMs).toISOString()]] as [string, string][])),
        ...Object.entries({ ...plan.properties, ...plan.customStats }),
      ];
      const lines = drawPlan(plan, { width: ctx.out.columns, paint: ctx.out.paint });
      // What its line has no room for, or says something else than.
      if (!lines[1].endsWith(printable(plan.statusMessage))) facts.unshift(['message', plan.statusMessage]);
      const width = facts.reduce((n, [k]) => Math.max(n, [...printable(k)].length), 9);
      ctx.lines([...lines, ...facts.map(([k, v]) => `  ${pad(printable(k), width)} ${printable(v)}`)]);
    });

  group
    .command('watch')
    .description('follow a plan to its end; exit 1 unless it completes')
    .argument('<plan>', 'id of the plan')
    .action(async (id: string, _: unknown, command: Command) => follow(ctx, id, command.optsWithGlobals<Global>()));

  group
    .command('abort')
    .description('abort a plan: nothing new is generated, what runs may finish')
    .argument('<plan>', 'id of the plan')
    .option('--reason <text>', 'kept with the plan')
    .action(async (id: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { reason?: string }>();
      const ending = await ctx.client(o).plans.abort(id, o.reason);
      if (o.json) return ctx.json(ending);
      ctx.line(`${ending.status}  ${printable(ending.statusMessage)}`);
    });

  group
    .command('run')
    .description('run a task type on a table or other resource, as a plan')
    .argument('<type>', 'task type, such as SegmentPurgeTask')
    .argument('<resource>', 'id, or short name: trips stands for trips_OFFLINE and trips_REALTIME')
    .option('-s, --set <key=value>', 'a setting; may be given more than once', collect, [])
    .option('--once', 'one batch, and no plan')
    .option('-w, --watch', 'follow the plan to its end; exit 1 unless it completes')
    .action(async (taskType: string, resource: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { set: string[]; once?: boolean; watch?: boolean }>();
      const settings = { ...(o.once ? {} : { enableTaskOrchestration: 'true' }), ...settingsOf(o.set) };
      const begun = await ctx.client(o).plans.execute({ taskType, resource, settings });
      if (o.json && !o.watch) return ctx.json(begun);
      if (begun.planIds.length === 0) {
        for (const [where, name] of Object.entries(begun.tasks)) ctx.line(`${printable(where)}  ${printable(name)}`);
        if (Object.keys(begun.tasks).length > 0) return;
        if (begun.blocked !== null) ctx.err.write(`nothing begun: ${printable(begun.blocked)}\n`);
        else ctx.err.write(begun.nothing === null ? 'nothing to do\n' : `nothing to do: ${printable(begun.nothing)}\n`);
        return;
      }
      if (begun.nothing !== null && !o.watch) ctx.err.write(`${printable(begun.nothing)}\n`);
      for (const id of begun.planIds) {
        if (o.watch) await follow(ctx, id, o);
        else ctx.line(id);
      }
    });

  group
    .command('types')
    .description('list the task types that the server has')
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global>();
      const types = await ctx.client(o).plans.taskTypes();
      if (o.json) return ctx.json(types);
      if (types.length === 0) return ctx.err.write('no task types\n');
      ctx.lines(
        table(
          ['TYPE', 'PLANS', 'COUNTS', 'DESCRIPTION'],
          types.map((t) => [
            t.name,
            t.orchestratedOnly ? 'only' : t.supportsOrchestration ? 'yes' : 'no',
            printable(t.inputUnit),
            printable(t.description ?? '') + (t.aliases.length === 0 ? '' : ` (also ${t.aliases.join(', ')})`),
          ]),
          ctx.out.paint,
        ),
      );
    });

  for (const [verb, description] of [
    ['stop', 'begin no batch of a task type until it is resumed'],
    ['resume', 'let batches of a task type begin again'],
  ] as const) {
    group
      .command(verb)
      .description(description)
      .argument('<type>', 'task type')
      .action(async (taskType: string, _: unknown, command: Command) => {
        const o = command.optsWithGlobals<Global>();
        const { plans } = ctx.client(o);
        const answer = verb === 'stop' ? await plans.stopQueue(taskType) : await plans.resumeQueue(taskType);
        if (o.json) return ctx.json(answer);
        ctx.line(printable(answer.status));
      });
  }
};

/** The worst end of several decides the exit code. */
const follow = async (ctx: CommandContext, id: string, o: Global): Promise<void> => {
  ctx.exitCode = Math.max(ctx.exitCode, exitCodeOfPlan(await watchPlan(ctx, ctx.client(o), id, { json: o.json })));
};
