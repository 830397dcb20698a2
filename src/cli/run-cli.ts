/** The command line as a function: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { terminalEnvironment } from '../config.ts';
import { ERRORS, isTuttiError } from '../core/errors.ts';
import { ServerUnreachable } from '../sdk/client/http-client.ts';
import { addCancel } from './commands/cancel.ts';
import { addConfig } from './commands/config-show.ts';
import { addCopy } from './commands/copy.ts';
import { addDev } from './commands/dev.ts';
import { addEvents } from './commands/events.ts';
import { addExplain } from './commands/explain.ts';
import { addHandlers } from './commands/handlers.ts';
import { addLs } from './commands/ls.ts';
import { addPlan } from './commands/plan.ts';
import { addRetry } from './commands/retry.ts';
import { addRun } from './commands/run.ts';
import { addSchedule } from './commands/schedule.ts';
import { addServe } from './commands/serve.ts';
import { addShow } from './commands/show.ts';
import { addTable } from './commands/table.ts';
import { addTemplate } from './commands/template.ts';
import { CommandContext, type CommandIo } from './context.ts';
import { CommandError, EXIT, exitCodeOf } from './exit-code.ts';
import { printable } from './terminal.ts';

const version = (): string => (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const EPILOGUE = `
Exit codes: 0 done, 1 the task did not complete, 2 bad usage or input,
3 not found, 4 server not reachable, 5 refused, 130 interrupted.`;

export const buildProgram = (ctx: CommandContext): Command => {
  const program = new Command('tutti')
    .description('Durable task orchestration: run graphs of work and never lose any.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .option('--json', 'print JSON instead of text')
    .option('-u, --url <url>', 'server to talk to (or TUTTI_URL;\ndefault http://127.0.0.1:8080)')
    .option('--api-key <key>', 'key to send (or TUTTI_API_KEY)')
    .addHelpText('after', EPILOGUE);
  addDev(program, ctx);
  addServe(program, ctx);
  addRun(program, ctx);
  addLs(program, ctx);
  addShow(program, ctx);
  addEvents(program, ctx);
  addExplain(program, ctx);
  addCancel(program, ctx);
  addRetry(program, ctx);
  addCopy(program, ctx);
  addPlan(program, ctx);
  addTable(program, ctx);
  addTemplate(program, ctx);
  addSchedule(program, ctx);
  addHandlers(program, ctx);
  addConfig(program, ctx);
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
  settle(program);
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
    await buildProgram(ctx).parseAsync(argv, { from: 'user' });
    return ctx.exitCode;
  } catch (e) {
    // commander has printed its message already.
    if (e instanceof CommanderError) return e.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(ctx, argv.includes('--json'), e);
  }
};
