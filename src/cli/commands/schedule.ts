import type { Command } from 'commander';
import type { WireSchedule, WireTick } from '../../contract/schedule-wire.ts';
import type { ScheduleFields } from '../../sdk/client/schedule-client.ts';
import { type ClientOptions, type CommandContext, parseInput, wholeNumber } from '../context.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { duration, printable, table } from '../terminal.ts';
import { parseDuration } from '../../sdk/duration.ts';

type Global = ClientOptions & { json?: boolean };

interface AddOptions extends Global {
  cron?: string;
  quartz?: boolean;
  zone?: string;
  every?: string;
  anchor?: string;
  at?: string;
  template: string;
  input?: string;
  tickField?: string;
  priority?: number;
  tag?: string[];
  overlap?: string;
  catchUp?: string;
  maxCatchUp?: number;
  lateAfter?: string;
  description?: string;
  paused?: boolean;
  replace?: boolean;
}

const DAY = 86_400_000;

/** `0 2 * * * Europe/Berlin`, `every 5m`, or a time. */
const when = (s: WireSchedule): string =>
  s.cron !== null
    ? `${s.cron} ${s.time_zone}${s.dialect === 'quartz' ? ' (quartz)' : ''}`
    : s.every_seconds !== null
      ? `every ${duration(s.every_seconds * 1000)}`
      : `at ${s.at}`;

const target = (s: WireSchedule): string => s.template ?? `${s.plan?.task_type} of ${s.plan?.resource}`;

const outcome = (t: WireTick): string => `${t.state}${t.reason === null ? '' : ` (${t.reason})`}`;

const nextOf = (s: WireSchedule): string => {
  if (s.paused) return 'paused';
  if (s.next_at === null) return 'never';
  const ms = Date.parse(s.next_at) - Date.now();
  return ms > DAY ? s.next_at : `in ${duration(Math.max(0, ms))}`;
};

const seconds = (option: string, text: string): number => {
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms === null || ms % 1000 !== 0 || ms === 0)
    throw new CommandError(EXIT.usage, `${option} is a number of seconds, or such as 90s, 5m, 1h30m; not ${JSON.stringify(text)}`);
  return ms / 1000;
};

const fieldsOf = (o: AddOptions): ScheduleFields => ({
  template: o.template,
  context: parseInput(o.input),
  tick_field: o.tickField,
  cron: o.cron,
  dialect: o.quartz ? 'quartz' : undefined,
  time_zone: o.zone,
  every_seconds: o.every === undefined ? undefined : seconds('--every', o.every),
  anchor: o.anchor,
  at: o.at,
  priority: o.priority,
  tags: o.tag,
  overlap: o.overlap,
  catch_up: o.catchUp,
  max_catch_up: o.maxCatchUp,
  late_after_seconds: o.lateAfter === undefined ? undefined : seconds('--late-after', o.lateAfter),
  description: o.description,
  paused: o.paused,
});

const collect = (text: string, all: string[] | undefined): string[] => [...(all ?? []), text];

export const addSchedule = (program: Command, ctx: CommandContext): void => {
  const group = program.command('schedule').description('fire templates by the clock');
  /** A verb of one schedule. */
  const verb = (name: string, description: string, run: (key: string, o: Global & Record<string, unknown>) => Promise<void>): Command =>
    group
      .command(name)
      .description(description)
      .argument('<key>', 'key of the schedule')
      .action(async (key: string, _: unknown, command: Command) => await run(key, command.optsWithGlobals()));
  const said = (o: Global, value: WireSchedule | WireTick, text: string): void => (o.json ? ctx.json(value) : ctx.line(printable(text)));

  group
    .command('ls')
    .description('list schedules by key')
    .option('-l, --limit <n>', 'how many, at most 1000', wholeNumber('--limit', 1, 1000), 100)
    .option('--after <key>', 'the next page, as the last one named it')
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { limit: number; after?: string }>();
      const list = await ctx.client(o).schedules.list({ limit: o.limit, after: o.after });
      if (o.json) return ctx.json(list);
      if (list.schedules.length === 0) return ctx.err.write('no schedules\n');
      ctx.lines(
        table(
          ['KEY', 'WHEN', 'FIRES', 'NEXT', 'LAST'],
          list.schedules.map((s) => [printable(s.key), printable(when(s)), printable(target(s)), nextOf(s), s.last_tick === null ? '-' : outcome(s.last_tick)]),
          ctx.out.paint,
        ),
      );
      if (list.next_after !== null) ctx.err.write(`more: --after ${list.next_after}\n`);
    });

  group
    .command('add')
    .description('make a schedule, and print when it falls first')
    .argument('<key>', 'its name')
    .requiredOption('-t, --template <template>', 'what is fired: namespace/name@version; without a version the newest')
    .option('-c, --cron <expression>', 'such as "0 2 * * *": minute hour day month weekday')
    .option('--quartz', 'the expression is of the Quartz dialect: second minute hour day month weekday [year]')
    .option('-z, --zone <zone>', 'time zone of the expression, such as Europe/Berlin; default UTC')
    .option('-e, --every <time>', 'such as 90s, 5m, 1h30m')
    .option('--anchor <time>', 'a time at which --every falls')
    .option('--at <time>', 'once, such as 2027-01-31T06:00:00Z')
    .option('-i, --input <json>', 'JSON, @file, or @- for standard input')
    .option('--tick-field <name>', 'member of the input that is set to the time of the tick')
    .option('--priority <n>', '0 (urgent) to 3', wholeNumber('--priority', 0, 3))
    .option('--tag <tag>', 'tag of its tasks; may be repeated', collect)
    .option('--overlap <rule>', 'while a task of it lives: skip, queue, allow, cancel_previous')
    .option('--catch-up <which>', 'of missed ticks: none, last, all')
    .option('--max-catch-up <n>', 'with all', wholeNumber('--max-catch-up', 1, 500))
    .option('--late-after <time>', 'skip what could not be fired within this time')
    .option('--description <text>', 'for people')
    .option('--paused', 'it waits for resume')
    .option('--replace', 'change it where there is one')
    .action(async (key: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<AddOptions>();
      const { schedules } = ctx.client(o);
      const s = await (o.replace ? schedules.put(key, fieldsOf(o)) : schedules.create({ key, ...fieldsOf(o) }));
      said(o, s, s.next_at === null ? `${s.key}: paused` : `${s.key}: ${s.next_at}`);
    });

  verb('rm', 'remove a schedule; what it made stays', async (key, o) => {
    await ctx.client(o).schedules.remove(key);
    if (o.json) ctx.json({ key, removed: true });
    else ctx.line(`${key}: removed`);
  });
  verb('pause', 'no tick falls until it is resumed', async (key, o) => said(o, await ctx.client(o).schedules.pause(key), `${key}: paused`));
  verb('resume', 'go on; what was missed is subject to its catch-up', async (key, o) => {
    const s = await ctx.client(o).schedules.resume(key);
    said(o, s, `${key}: ${s.next_at ?? 'never'}`);
  });
  verb('fire', 'fire it now, paused or not, and print the id of the task', async (key, o) => {
    const t = await ctx.client(o).schedules.fire(key);
    said(o, t, t.task_uuid ?? t.plan_id ?? outcome(t));
    if (t.state === 'failed') ctx.exitCode = EXIT.taskFailed;
  });
  verb('show', 'show a schedule', async (key, o) => {
    const s = await ctx.client(o).schedules.get(key);
    if (o.json) return ctx.json(s);
    const rows: [string, string][] = [
      ['fires', target(s)],
      ['when', when(s)],
      ['next', s.next_at ?? nextOf(s)],
      ['last', s.last_tick === null ? '-' : `${s.last_tick.at} ${outcome(s.last_tick)}`],
      ['waiting', String(s.waiting)],
      ['overlap', s.overlap],
      ['catch-up', s.catch_up === 'all' ? `all, at most ${s.max_catch_up}` : s.catch_up],
      ['late after', s.late_after_seconds === null ? '-' : duration(s.late_after_seconds * 1000)],
      ['owner', s.owner],
      ['input', JSON.stringify(s.context ?? {})],
    ];
    ctx.line(printable(s.key));
    if (s.description !== null) ctx.line(`  ${printable(s.description)}`);
    for (const [name, value] of rows) ctx.line(`  ${name.padEnd(11)}${printable(value)}`);
  });
  verb('next', 'show the next times at which it falls', async (key, o) => {
    const p = await ctx.client(o).schedules.preview(key, o.n as number | undefined);
    if (o.json) ctx.json(p);
    else ctx.lines(p.firings);
  }).option('-n <n>', 'how many; default 10', wholeNumber('-n', 1, 100));
  verb('ticks', 'show what became of its ticks, newest first', async (key, o) => {
    const list = await ctx.client(o).schedules.ticks(key, { limit: o.limit as number | undefined, before: o.before as string | undefined });
    if (o.json) return ctx.json(list);
    const rows = list.ticks.map((t) => [t.at, outcome(t), t.manual ? 'yes' : '-', t.task_uuid ?? printable(t.plan_id ?? '-'), printable(t.message ?? '')]);
    ctx.lines(table(['AT', 'STATE', 'BY HAND', 'TASK', 'MESSAGE'], rows, ctx.out.paint));
    if (list.next_before !== null) ctx.err.write(`more: --before ${list.next_before}\n`);
  })
    .option('-l, --limit <n>', 'how many, at most 1000', wholeNumber('--limit', 1, 1000))
    .option('--before <time>', 'the next page, as the last one named it');
};
