import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { pino } from 'pino';
import { ReadableLog } from '../../src/cli/readable-log.ts';
import { CommandContext } from '../../src/cli/context.ts';
import { logTo } from '../../src/cli/commands/serve.ts';
import { paintWith } from '../../src/cli/terminal.ts';

/** What a person sees of what is logged. */
const shown = (log: (logger: ReturnType<typeof pino>) => void): string => {
  let text = '';
  const to = new ReadableLog({ write: (t: string) => (text += t) }, paintWith(false));
  log(pino({ level: 'debug', base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, to));
  return text.replace(/^\d\d:\d\d:\d\d\.\d{3} /gm, 'TIME ');
};

test('log lines are words where a person looks', () => {
  assert.equal(
    shown((l) => l.warn('the disk is full')),
    'TIME warn  the disk is full\n',
  );
  assert.equal(
    shown((l) => l.info({ task: 7, path: '/x' }, 'removed')),
    'TIME info  removed {"task":7,"path":"/x"}\n',
  );
  assert.equal(
    shown((l) => l.debug('')),
    'TIME debug \n',
  );
  assert.equal(
    shown((l) => l.info('Server listening at http://127.0.0.1:8080')),
    '',
  );
});

test('an error has its stack below it, and nothing of it reaches the terminal but text', () => {
  const e = new Error('no \u001b[31mroute');
  e.stack = 'Error: no \u001b[31mroute\n    at one (a.ts:1)';
  assert.equal(
    shown((l) => l.error({ err: e, request_id: 'r' }, 'request \u0007failed')),
    'TIME error request \ufffdfailed {"request_id":"r"}\n    Error: no \ufffd[31mroute\n    at one (a.ts:1)\n',
  );
  assert.equal(
    shown((l) => l.warn({ error: 'Error: x\n  at y' }, 'a hook threw')),
    'TIME warn  a hook threw\n    Error: x\n    at y\n',
  );
});

test('what is no log line goes through as it is', () => {
  let text = '';
  const log = new ReadableLog({ write: (t: string) => (text += t) }, paintWith(false));
  for (const line of ['plain words\n', '7\n', 'null\n', '{"broken\n']) log.write(line);
  assert.equal(text, 'plain words\n7\nnull\n{"broken\n');
});

test('JSON stays JSON where nobody looks', () => {
  const context = (isTTY: boolean): CommandContext => {
    const stderr = Object.assign(new PassThrough(), { isTTY }) as unknown as NodeJS.WriteStream;
    return new CommandContext(
      { stdout: stderr, stderr, environment: { url: undefined, apiKey: undefined, noColor: true }, cwd: '/' },
      new AbortController().signal,
    );
  };
  const [live, piped] = [context(true), context(false)];
  assert.ok(logTo(live) instanceof ReadableLog);
  assert.equal(logTo(piped), piped.io.stderr);
});
