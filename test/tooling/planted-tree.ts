import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A throw-away tree with these files, for a guard to be shown; removed when the scope ends (`using`). */
export function plantTree(files: Record<string, string>): { root: string } & Disposable {
  const root = mkdtempSync(path.join(tmpdir(), 'tutti-guard-'));
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}
