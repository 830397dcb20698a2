/** The command line as a function: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { terminalEnvironment } from '../config.ts';
import { ERRORS, isTuttiError } from '../core/errors.ts';
import { ServerUnreachable } from '../sdk/client/http-client.ts';
import { CommandContext, type CommandIo } from './context.ts';
import { CommandError, EXIT, exitCodeOf } from './exit-code.ts';
import { printable } from './terminal.ts';

const version = (): string => (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const EPILOGUE = `
Exit codes: 0 done, 1 the task did not complete, 2 bad usage or input,
3 not found, 4 server not reachable, 5 refused, 130 interrupted.`;

/** By name, in the order of the help. Only what the command line names is loaded: a server needs nothing of the other commands, nor the other way round. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command, ctx: CommandContext) => void>>> = {
  dev: async () => (await import('./commands/dev.ts')).addDev,
  serve: async () => (await import('./commands/serve.ts')).addServe,
  run: async () => (await import('./commands/run.ts')).addRun,
  ls: async () => (await import('./commands/ls.ts')).addLs,
  show: async () => (await import('./commands/show.ts')).addShow,
  events: async () => (await import('./commands/events.ts')).addEvents,
  explain: async () => (await import('./commands/explain.ts')).addExplain,
  cancel: async () => (await import('./commands/cancel.ts')).addCancel,
  retry: async () => (await import('./commands/retry.ts')).addRetry,
  copy: async () => (await import('./commands/copy.ts')).addCopy,
  plan: async () => (await import('./commands/plan.ts')).addPlan,
  table: async () => (await import('./commands/table.ts')).addTable,
  template: async () => (await import('./commands/template.ts')).addTemplate,
  schedule: async () => (await import('./commands/schedule.ts')).addSchedule,
  handlers: async () => (await import('./commands/handlers.ts')).addHandlers,
  config: async () => (await import('./commands/config-show.ts')).addConfig,
};

const newProgram = (): Command =>
  new Command('tutti')
    .description('Durable task orchestration: run graphs of work and never lose any.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .option('--json', 'print JSON instead of text')
    .option('-u, --url <url>', 'server to talk to (or TUTTI_URL;\ndefault http://127.0.0.1:8080)')
    .option('--api-key <key>', 'key to send (or TUTTI_API_KEY)')
    .addHelpText('after', EPILOGUE);

/** Knows the command that is named, or all of them where none is. */
const buildProgram = async (ctx: CommandContext, argv: readonly string[]): Promise<Command> => {
  const program = newProgram();
  // Settings do not pass to commands that exist already, so every one of them gets its own.
  const settle = (command: Command): void => {
    command
      .exitOverride()
      .showHelpAfterError(`(${fullName(command)} --help says more)`)
      .configureOutput({
        writeOut: (text) => ctx.out.write(text),
        writeErr: (text) => ctx.err.write(text),
        getOutHelpWidth: () => Math.min(80, ctx.out.columns),
        getErrHelpWidth: () => Math.min(80, ctx.err.columns),
        getOutHasColors: () => ctx.out.live && !ctx.io.environment.noColor,
        getErrHasColors: () => ctx.err.live && !ctx.io.environment.noColor,
      });
    if (command !== program) {
      // `tutti ls --json` is what people type; the option belongs to the program and is known to every command.
      if (command.commands.length === 0) command.addHelpText('after', '\nAlso: --json, --url <url>, --api-key <key>; tutti --help says more.');
    }
    for (const sub of command.commands) settle(sub as Command);
  };
  // Before the first option is read: --version ends there.
  settle(program);
  const [named] = program.parseOptions([...argv]).operands;
  const wanted = named !== undefined && Object.hasOwn(COMMANDS, named) ? [named] : Object.keys(COMMANDS);
  for (const name of wanted) (await COMMANDS[name]())(program, ctx);
  for (const command of program.commands) settle(command as Command);
  return program;
};

const fullName = (command: Command): string => (command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`);

const report = (ctx: CommandContext, json: boolean, e: unknown): number => {
  const code = e instanceof ServerUnreachable ? EXIT.unreachable : exitCodeOf(e);
  if (json) {
    const known = isTuttiError(e);
    const body = {
      code: known ? e.code : e instanceof ServerUnreachable ? 'SERVER_UNREACHABLE' : e instanceof CommandError ? 'USAGE' : 'INTERNAL',
      message: e instanceof Error ? e.message : String(e),
      field: known ? e.field : undefined,
      details: known ? e.details : undefined,
      exit_code: code,
    };
    ctx.err.write(`${JSON.stringify({ error: body })}\n`);
  } else if (code === EXIT.internal && !(isTuttiError(e) && ERRORS[e.code] !== undefined)) {
    ctx.err.write(`${e instanceof Error ? (e.stack ?? e.message) : String(e)}\n`);
  } else {
    const message = (e as Error).message.split('\n').map(printable).join('\n');
    ctx.err.write(`${ctx.err.paint('red', 'error:')} ${message}\n`);
    if (isTuttiError(e) && e.code === 'UNAUTHENTICATED') ctx.err.write('Give a key: --api-key, or TUTTI_API_KEY.\n');
    if (e instanceof ServerUnreachable) ctx.err.write('Start one: tutti serve, or tutti dev. Or name another: --url, or TUTTI_URL.\n');
  }
  return code;
};

/** `argv` without node and script. */
export const runCli = async (
  argv: readonly string[],
  io: Partial<CommandIo> = {},
  interrupted: AbortSignal = new AbortController().signal,
): Promise<number> => {
  const ctx = new CommandContext(
    {
      stdout: io.stdout ?? process.stdout,
      stderr: io.stderr ?? process.stderr,
      environment: io.environment ?? terminalEnvironment(),
      cwd: io.cwd ?? process.cwd(),
    },
    interrupted,
  );
  try {
    const program = await buildProgram(ctx, argv);
    await program.parseAsync(argv, { from: 'user' });
    return ctx.exitCode;
  } catch (e) {
    // commander has printed its message already.
    if (e instanceof CommanderError) return e.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(ctx, argv.includes('--json'), e);
  }
};
