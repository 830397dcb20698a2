import type { Command } from 'commander';
import type { WireSegment } from '../../contract/table-wire.ts';
import { type ClientOptions, type CommandContext, wholeNumber } from '../context.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { readObject, readRows } from '../rows-file.ts';
import { duration, printable, table as drawTable } from '../terminal.ts';

type Global = ClientOptions & { json?: boolean };

/** Rows of one request: each is kept as a whole or not at all. */
const ROWS_AT_ONCE = 20_000;

const collect = (text: string, all: string[]): string[] => [...all, text];

const columnOf = (text: string): { name: string; type: string } => {
  const at = text.indexOf(':');
  if (at < 1) throw new CommandError(EXIT.usage, `--column takes name:type, not ${JSON.stringify(text)}`);
  return { name: text.slice(0, at), type: text.slice(at + 1) };
};

const kindOf = (text: string): 'OFFLINE' | 'REALTIME' => {
  const type = text.toUpperCase();
  if (type !== 'OFFLINE' && type !== 'REALTIME') throw new CommandError(EXIT.usage, `--type takes offline or realtime, not ${JSON.stringify(text)}`);
  return type;
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const size = (bytes: number): string => {
  const unit = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  return unit === 0 ? `${bytes} B` : `${(bytes / 1024 ** unit).toFixed(1)} ${UNITS[unit]}`;
};
const time = (ms: number | null): string => (ms === null ? '' : new Date(ms).toISOString().replace('.000Z', 'Z'));
const cell = (value: unknown): string => printable(value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value));

export const addTable = (program: Command, ctx: CommandContext): void => {
  const group = program.command('table').description('tables of Parquet segments: what task plans fill, purge and export');

  group
    .command('ls')
    .description('list tables')
    .action(async (_: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global>();
      const found = await ctx.client(o).tables.list();
      if (o.json) return ctx.json(found);
      if (found.length === 0) return ctx.err.write('no tables\n');
      const now = Date.now();
      const rows = found.map((t) => [printable(t.id), String(t.schema.columns.length), duration(now - t.createdAtMs)]);
      ctx.lines(drawTable(['TABLE', 'COLUMNS', 'AGE'], rows, ctx.out.paint));
    });

  group
    .command('show')
    .description('show a table: its columns and how much there is in it')
    .argument('<table>', 'id, or name where it is the only table of that name')
    .action(async (name: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global>();
      const t = await ctx.client(o).tables.get(name);
      if (o.json) return ctx.json(t);
      ctx.line(`${printable(t.id)}  ${t.rows} rows in ${t.segments} segments, ${size(t.bytes)}`);
      if (t.unsealedRows > 0) ctx.line(`  ${t.unsealedRows} rows are not sealed yet`);
      if (t.sealError !== null) ctx.line(`  ${printable(t.sealError)}`);
      const columns = t.schema.columns.map((c) => [printable(c.name), printable(c.type) + (c.name === t.schema.timeColumn ? ' (time)' : '')]);
      ctx.lines(drawTable(['COLUMN', 'TYPE'], columns, ctx.out.paint));
    });

  group
    .command('create')
    .description('create a table')
    .argument('<name>', 'its name, without type')
    .requiredOption('-t, --type <type>', 'offline (tasks fill it) or realtime (rows are added to it)')
    .option('-c, --column <name:type>', 'a column; give one for each', collect, [])
    .option('--time-column <name>', 'column that says when a row was')
    .option('--schema <file>', 'JSON file with columns and timeColumn, instead of the two above')
    .option('--config <file>', 'JSON file with its config')
    .action(async (name: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { type: string; column: string[]; timeColumn?: string; schema?: string; config?: string }>();
      if ((o.schema === undefined) === (o.column.length === 0)) throw new CommandError(EXIT.usage, 'give the columns, by --column or by --schema');
      const schema =
        o.schema === undefined
          ? { columns: o.column.map(columnOf), ...(o.timeColumn === undefined ? {} : { timeColumn: o.timeColumn }) }
          : (readObject(o.schema, ctx.io.cwd) as unknown as { columns: { name: string; type: string }[] });
      const config = o.config === undefined ? undefined : readObject(o.config, ctx.io.cwd);
      const made = await ctx.client(o).tables.create({ name, type: kindOf(o.type), schema, config });
      if (o.json) return ctx.json(made);
      ctx.line(made.id);
    });

  group
    .command('config')
    .description('show the config of a table, or replace it by that of a file')
    .argument('<table>', 'id, or name where it is the only table of that name')
    .argument('[file]', 'JSON file with the whole config')
    .action(async (name: string, file: string | undefined, _: unknown, command: Command) => {
      const { tables } = ctx.client(command.optsWithGlobals<Global>());
      const { config } = file === undefined ? await tables.get(name) : await tables.setConfig(name, readObject(file, ctx.io.cwd));
      ctx.json(config);
    });

  group
    .command('drop')
    .description('drop a table, with its plans, segments and files')
    .argument('<table>', 'id, or name where it is the only table of that name')
    .option('--ignore-active-tasks', 'although subtasks of its plans run')
    .action(async (name: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { ignoreActiveTasks?: boolean }>();
      const dropped = await ctx.client(o).tables.drop(name, { ignoreActiveTasks: o.ignoreActiveTasks });
      if (o.json) return ctx.json(dropped);
      ctx.line(printable(dropped.status));
    });

  group
    .command('segments')
    .description('list segments of a table, by name')
    .argument('<table>', 'id, or name where it is the only table of that name')
    .option('-l, --limit <n>', 'how many', wholeNumber('--limit', 1, 1_000_000), 100)
    .option('--after <name>', 'from the one after this')
    .action(async (name: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { limit: number; after?: string }>();
      const { tables } = ctx.client(o);
      const found: WireSegment[] = [];
      let after = o.after;
      while (found.length < o.limit) {
        const page = await tables.segments(name, { after, limit: Math.min(1000, o.limit - found.length) });
        found.push(...page.segments);
        if (page.next === null) break;
        after = page.next;
      }
      if (o.json) return ctx.json(found);
      if (found.length === 0) return ctx.err.write('no segments\n');
      const rows = found.map((s) => [printable(s.name), String(s.rows), size(s.bytes), time(s.minTimeMs), time(s.maxTimeMs), s.visible ? 'yes' : 'no']);
      ctx.lines(drawTable(['SEGMENT', 'ROWS', 'SIZE', 'FROM', 'TO', 'VISIBLE'], rows, ctx.out.paint));
    });

  group
    .command('rows')
    .description('add rows of a file to a REALTIME table')
    .argument('<table>', 'id, or name where it is the only table of that name')
    .argument('<file>', '.json (a list), .ndjson or .jsonl (an object a line), or - for lines of standard input')
    .option('--seal', 'make them into a segment at once')
    .action(async (name: string, file: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { seal?: boolean }>();
      const { tables } = ctx.client(o);
      let added = 0;
      let part: unknown[] = [];
      const send = async (): Promise<void> => {
        if (part.length === 0) return;
        added += (await tables.addRows(name, part)).added;
        part = [];
      };
      for await (const row of readRows(file, ctx.io.cwd)) if (part.push(row) >= ROWS_AT_ONCE) await send();
      await send();
      const sealed = o.seal ? await tables.seal(name) : null;
      if (o.json) return ctx.json({ added, ...(sealed === null ? {} : { sealed }) });
      ctx.line(`${added} rows added${sealed === null ? '' : `, ${sealed.rows} sealed into ${sealed.segments.length} segments`}`);
    });

  group
    .command('query')
    .description('run one SELECT over the segments of a table')
    .argument('<table>', 'id, or name where it is the only table of that name')
    .argument('<sql>', 'SELECT in the dialect of DuckDB; the table goes by its id or name')
    .option('-l, --limit <n>', 'most rows of the answer', wholeNumber('--limit', 1, 100_000), 1000)
    .action(async (name: string, sql: string, _: unknown, command: Command) => {
      const o = command.optsWithGlobals<Global & { limit: number }>();
      const answer = await ctx.client(o).tables.query(name, sql, { limit: o.limit });
      if (o.json) return ctx.json(answer);
      const rows = answer.rows.map((row) => row.map(cell));
      ctx.lines(
        drawTable(
          answer.columns.map((c) => printable(c.name)),
          rows,
          ctx.out.paint,
        ),
      );
      if (answer.truncated) ctx.err.write(`only the first ${answer.rows.length} rows: --limit takes more\n`);
    });
};
