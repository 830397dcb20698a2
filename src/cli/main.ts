#!/usr/bin/env node
/** The `tutti` command. */
import { EXIT } from './exit-code.ts';
import { runCli } from './run-cli.ts';

const controller = new AbortController();
// The first interrupt asks commands to end in good order; the second one does not ask.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort(signal);
  });
}
// `tutti ls | head` closes the pipe: that is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (e: NodeJS.ErrnoException) => {
    if (e.code !== 'EPIPE') throw e;
    process.exit(process.exitCode ?? EXIT.ok);
  });
}

process.exitCode = await runCli(process.argv.slice(2), {}, controller.signal);
// Sockets that fetch keeps open must not keep the command from ending.
if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
