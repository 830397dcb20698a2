import type { Command } from 'commander';
import { loadConfig, showConfig } from '../../config.ts';
import type { CommandContext } from '../context.ts';
import { table } from '../terminal.ts';

export const addConfig = (program: Command, ctx: CommandContext): void => {
  program
    .command('config')
    .description('show configuration')
    .command('show')
    .description('print every key with its value and where that came from')
    .option('-c, --config <file>', 'a TOML file over the usual ones')
    .action((_: unknown, command: Command) => {
      const o = command.optsWithGlobals<{ config?: string; json?: boolean }>();
      const loaded = loadConfig({ file: o.config, cwd: ctx.io.cwd });
      const keys = showConfig(loaded);
      if (o.json) return ctx.json({ environment: loaded.environment, files: loaded.files, keys });
      ctx.lines(
        table(
          ['KEY', 'VALUE', 'FROM'],
          keys.map((k) => [k.path, JSON.stringify(k.value), k.source.name === '' ? k.source.kind : `${k.source.kind} ${k.source.name}`]),
          ctx.out.paint,
        ),
      );
    });
};
