import { watch } from 'node:fs';
import { dirname, relative } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../../config.ts';
import type { CommandContext } from '../context.ts';
import { idOf, loadFiles } from '../load-files.ts';
import { ReloadingImport } from '../reloading-import.ts';
import { flagsOf, logTo, type ServeOptions, storeLine, storePath, untilInterrupted, withServerOptions } from './serve.ts';

/** Editors write a file in several steps; one reload is enough for them all. */
const SETTLE_MS = 80;

export const addDev = (program: Command, ctx: CommandContext): void => {
  withServerOptions(
    program
      .command('dev')
      .description('run the server for development: load files, reload them when they change')
      .argument('[file...]', 'template files (YAML, JSON, TypeScript) or folders of YAML'),
  )
    .addHelpText('after', '\nA changed graph under the same version becomes a new revision of it.\nThe store is .tutti/dev.db unless configured.')
    .action(async (given: string[], _: unknown, command: Command) => {
      const o = command.optsWithGlobals<ServeOptions & { json?: boolean }>();
      const first = loadConfig({ file: o.config, cwd: ctx.io.cwd, flags: flagsOf(o) });
      const ownStore = first.sources.get('orchestration.store.path')?.kind === 'default' && o.store === undefined;
      const { config, environment } = ownStore ? loadConfig({ file: o.config, cwd: ctx.io.cwd, flags: flagsOf({ ...o, store: '.tutti/dev.db' }) }) : first;
      const paths = [...config.templates.paths, ...given];
      const modules = new ReloadingImport();
      const load = () => {
        modules.begin();
        return loadFiles(paths, ctx.io.cwd, { environment, importModule: (path) => modules.import(path) });
      };
      const say = (event: string, text: string, details: Record<string, unknown> = {}): void => (o.json ? ctx.json({ event, ...details }) : ctx.line(text));

      const loaded = await load();
      const { serve } = await import('../../serve.ts');
      const served = await serve(config, {
        templates: loaded.templates,
        handlers: loaded.handlers,
        taskTypes: loaded.taskTypes,
        resourceKinds: loaded.resourceKinds,
        dev: true,
        logTo: logTo(ctx),
      });
      for (const t of loaded.templates) say('loaded', `  ${idOf(t)}`, { template: idOf(t) });
      for (const t of loaded.taskTypes) say('loaded', `  task type ${t.name}`, { task_type: t.name });
      if (served.url !== null)
        say('ready', `serving on ${served.url}  (API docs: ${served.url}/docs)`, {
          url: served.url,
          store: storePath(config, ctx),
          resumed: served.tutti.resumed,
        });
      if (!o.json) ctx.line(storeLine(config, ctx));
      if (paths.length === 0) say('hint', 'no files given: try tutti dev my-template.yaml');

      let running: Promise<void> = Promise.resolve();
      const reload = async (): Promise<void> => {
        try {
          const next = await load();
          for (const h of next.handlers) served.tutti.handler(h.name, h.code, h.meta);
          for (const type of next.taskTypes) {
            served.tutti.plans.register(type, { replace: true });
            say('reloaded', `  reloaded task type ${type.name}`, { task_type: type.name });
          }
          for (const t of next.templates) {
            const view = await served.tutti.register(t, { dev: true });
            say('reloaded', `  reloaded ${idOf(t)}${view.revision > 1 ? `, revision ${view.revision}` : ''}`, { template: idOf(t), revision: view.revision });
          }
          follow(next.files);
        } catch (e) {
          // What was loaded before goes on working: the person is in the middle of an edit.
          if (o.json) ctx.json({ event: 'failed', message: (e as Error).message });
          else ctx.err.write(`${ctx.err.paint('red', 'error:')} ${(e as Error).message}\n`);
        }
      };
      let timer: NodeJS.Timeout | undefined;
      const watchers = new Map<string, ReturnType<typeof watch>>();
      const wanted = new Set<string>();
      // Folders are watched, not files: editors replace a file, and the watch would stay with the old one.
      const follow = (files: readonly string[]): void => {
        for (const file of [...files, ...modules.files]) {
          wanted.add(file);
          const folder = dirname(file);
          if (watchers.has(folder)) continue;
          watchers.set(
            folder,
            watch(folder, (_type, name) => {
              if (name !== null && ![...wanted].some((f) => relative(folder, f) === name)) return;
              clearTimeout(timer);
              timer = setTimeout(() => {
                running = running.then(reload);
              }, SETTLE_MS);
            }),
          );
        }
      };
      follow(loaded.files);

      await untilInterrupted(ctx.interrupted);
      clearTimeout(timer);
      for (const w of watchers.values()) w.close();
      await running;
      modules.close();
      if (!o.json) ctx.line('stopping; interrupt again to stop at once');
      await served.stop();
    });
};
