/** Runs the command line: in this process against a server of the test, or as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../src/cli/run-cli.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = join(ROOT, 'src/cli/main.ts');

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** A stream that keeps what is written; with `tty`, one that says it is a terminal. */
const sink = (tty: { columns: number; rows: number } | undefined) => {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  if (tty !== undefined) Object.assign(stream, { isTTY: true, ...tty });
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
};

export const cli = async (
  args: readonly string[],
  o: { url?: string; apiKey?: string; cwd?: string; tty?: { columns: number; rows: number }; noColor?: boolean; signal?: AbortSignal } = {},
): Promise<Ran> => {
  const out = sink(o.tty);
  const err = sink(undefined);
  const code = await runCli(
    args,
    {
      stdout: out.stream,
      stderr: err.stream,
      environment: { url: o.url, apiKey: o.apiKey, noColor: o.noColor ?? false },
      cwd: o.cwd ?? process.cwd(),
    },
    o.signal,
  );
  await new Promise((next) => setImmediate(next));
  return { code, out: out.text(), err: err.text() };
};

export class Spawned {
  readonly child: ChildProcess;
  out = '';
  err = '';
  readonly #ended: Promise<number | string>;

  constructor(args: readonly string[], o: { cwd: string; env?: Record<string, string> }) {
    const env: Record<string, string | undefined> = { PATH: process.env.PATH, HOME: process.env.HOME, ...o.env };
    this.child = spawn(process.execPath, ['--conditions=tutti-source', '--disable-warning=ExperimentalWarning', ...args], {
      cwd: o.cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.err += chunk.toString()));
    this.#ended = once(this.child, 'close').then(([code, signal]) => code ?? signal);
  }

  /** Resolves when standard output holds a match; rejects when the process ends without. */
  async until(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.out.slice(from));
      if (found !== null) return found;
      const over = this.#ended.then((code) => {
        throw new Error(`ended with ${code} before it said ${pattern}:\n${this.out}\n${this.err}`);
      });
      over.catch(() => undefined);
      const stdout = this.child.stdout;
      if (stdout === null) throw new Error('no output');
      await Promise.race([once(stdout, 'data'), pattern.test(this.out.slice(from)) ? null : over]);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Exit code, or the signal that ended it. */
  ended(): Promise<number | string> {
    return this.#ended;
  }
}

/** A folder of the test's own, removed at the end. */
export const scratch = (t: { after(fn: () => void): void }): string => {
  const dir = mkdtempSync(join(tmpdir(), 'tutti-cli-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

export const plain = (text: string): string => text.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, 'g'), '');
