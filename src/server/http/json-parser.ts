/** Bodies are JSON or nothing. */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { TuttiError } from '../../core/errors.ts';

export function registerJsonParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    const bytes = body as Buffer;
    // A client that always names the type may still have nothing to say, as with DELETE.
    if (bytes.length === 0) return done(null, undefined);
    // Read as text at once, what is no UTF-8 would be replaced without a word.
    if (!isUtf8(bytes)) return done(new TuttiError('INVALID_JSON', 'the body is not JSON: it is not UTF-8', { field: 'body' }));
    const text = bytes.toString();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (e) {
      return done(new TuttiError('INVALID_JSON', `the body is not JSON: ${(e as Error).message}`, { field: 'body' }));
    }
    if (text.includes('__proto__') || text.includes('\\u')) {
      const path = protoPath(value, '');
      if (path !== null) return done(new TuttiError('UNSTORABLE_VALUE', `${path} is a key that no value may have`, { field: path }));
    }
    done(null, value);
  });
}

/** Where a key `__proto__` is, or null. No recursion: the depth of a body is its sender's choice. */
function protoPath(root: unknown, at: string): string | null {
  const stack: [value: unknown, path: string][] = [[root, at]];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const [value, path] = item;
    if (typeof value !== 'object' || value === null) continue;
    if (Object.hasOwn(value, '__proto__')) return `${path}${path === '' ? '' : '.'}__proto__`;
    if (Array.isArray(value)) value.forEach((v, i) => stack.push([v, `${path}[${i}]`]));
    else for (const [k, v] of Object.entries(value)) stack.push([v, path === '' ? k : `${path}.${k}`]);
  }
  return null;
}
