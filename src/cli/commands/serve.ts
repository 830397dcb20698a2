import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig, type TuttiConfig } from '../../config.ts';
import type { Flag } from '../../config/layers.ts';
import type { CommandContext } from '../context.ts';
import { idOf, loadFiles } from '../load-files.ts';
import { ReadableLog } from '../readable-log.ts';

export interface ServeOptions {
  config?: string;
  host?: string;
  port?: string;
  store?: string;
  slots?: string;
}

/** Flags of `serve` and `dev` as configuration keys. */
export const flagsOf = (o: ServeOptions): Flag[] =>
  (
    [
      ['orchestration.web.host', '--host', o.host],
      ['orchestration.web.port', '--port', o.port],
      ['orchestration.store.path', '--store', o.store],
      ['orchestration.worker.slots', '--slots', o.slots],
    ] as const
  ).flatMap(([path, flag, text]) => (text === undefined ? [] : [{ path, flag, text }]));

export const withServerOptions = (command: Command): Command =>
  command
    .option('-c, --config <file>', 'a TOML file over the usual ones')
    .option('--host <address>', 'address to listen on')
    .option('-p, --port <n>', 'port to listen on; 0 takes any')
    .option('--store <file>', 'the store; :memory: keeps nothing')
    .option('--slots <n>', 'handlers run at once');

/** Where log lines go: in words where a person looks, as JSON to a file or a collector. */
export const logTo = (ctx: CommandContext): { write(line: string): unknown } => (ctx.err.live ? new ReadableLog(ctx.io.stderr, ctx.err.paint) : ctx.io.stderr);

/** In full, since the server may have been started anywhere; null: nothing is kept. */
export const storePath = (config: TuttiConfig, ctx: CommandContext): string | null =>
  config.store.path === ':memory:' ? null : resolve(ctx.io.cwd, config.store.path);

export const storeLine = (config: TuttiConfig, ctx: CommandContext): string => {
  const path = storePath(config, ctx);
  return path === null ? 'storing in memory: nothing is kept when this ends' : `storing in ${path}`;
};

/** Resolves at the first interrupt. */
export const untilInterrupted = (signal: AbortSignal): Promise<void> =>
  new Promise((done) => (signal.aborted ? done() : signal.addEventListener('abort', () => done(), { once: true })));

export const addServe = (program: Command, ctx: CommandContext): void => {
  withServerOptions(
    program
      .command('serve')
      .description('run the server: engine, worker and REST API')
      .argument('[file...]', 'template files to load, beside those of the configuration'),
  ).action(async (files: string[], _: unknown, command: Command) => {
    const o = command.optsWithGlobals<ServeOptions & { json?: boolean }>();
    const { config, environment } = loadConfig({ file: o.config, cwd: ctx.io.cwd, flags: flagsOf(o) });
    const loaded = await loadFiles([...config.templates.paths, ...files], ctx.io.cwd, { environment });
    const { serve } = await import('../../serve.ts');
    const served = await serve(config, {
      templates: loaded.templates,
      handlers: loaded.handlers,
      taskTypes: loaded.taskTypes,
      resourceKinds: loaded.resourceKinds,
      logTo: logTo(ctx),
    });
    if (o.json) ctx.json({ url: served.url, store: storePath(config, ctx), templates: loaded.templates.map((t) => idOf(t)), resumed: served.tutti.resumed });
    else {
      if (served.url !== null) ctx.line(`serving on ${served.url}  (API docs: ${served.url}/docs)`);
      ctx.line(storeLine(config, ctx));
      if (served.tutti.resumed > 0) ctx.line(`going on with ${served.tutti.resumed} unfinished ${served.tutti.resumed === 1 ? 'task' : 'tasks'}`);
    }
    await untilInterrupted(ctx.interrupted);
    if (!o.json) ctx.line(`stopping: running handlers get ${config.shutdown.drain_seconds} s; interrupt again to stop at once`);
    await served.stop();
  });
};
