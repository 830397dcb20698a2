/**
 * Imports a module anew after its file, or a file it imports by a relative path, has changed. Node keeps a module for ever under its
 * URL, so each round gets URLs of its own (`?tutti=2`); packages keep theirs, or a template would meet a second copy of Tutti.
 * A round that is replaced stays in memory: this is for development.
 */
import { registerHooks } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const MARK = 'tutti-round';

export class ReloadingImport {
  #round = 0;
  #hooks: { deregister(): void };
  /** Files of the last round, for a watcher. */
  readonly files = new Set<string>();

  constructor() {
    this.#hooks = registerHooks({
      resolve: (specifier, context, next) => {
        const resolved = next(specifier, context);
        const round = context.parentURL === undefined ? null : roundOf(context.parentURL);
        if (round === null || !/^\.{0,2}\//.test(specifier) || !resolved.url.startsWith('file:') || resolved.url.includes('/node_modules/')) return resolved;
        const url = new URL(resolved.url);
        url.searchParams.set(MARK, round);
        this.files.add(fileURLToPath(resolved.url));
        return { ...resolved, url: url.href };
      },
    });
  }

  /** Starts a round: what is imported from now on is read again. */
  begin(): void {
    this.#round++;
    this.files.clear();
  }

  async import(path: string): Promise<Record<string, unknown>> {
    const url = pathToFileURL(path);
    url.searchParams.set(MARK, String(this.#round));
    this.files.add(path);
    return (await import(url.href)) as Record<string, unknown>;
  }

  close(): void {
    this.#hooks.deregister();
  }
}

const roundOf = (url: string): string | null => {
  if (!url.startsWith('file:')) return null;
  return new URL(url).searchParams.get(MARK);
};
