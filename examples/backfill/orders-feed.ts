/** An HTTP API with a list of orders that grows. Pages may be told to fail. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface OrdersFeed {
  url: string;
  /** How many orders there are. */
  rows: number;
  /** First orders of pages that answer 404 so many times more. */
  missing: Map<number, number>;
  /** Requests by path. */
  requests: string[];
  close(): Promise<void>;
}

export async function startOrdersFeed(rows: number): Promise<OrdersFeed> {
  const feed: OrdersFeed = { url: '', rows, missing: new Map(), requests: [], close: () => new Promise((done) => void server.close(() => done())) };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', feed.url);
    feed.requests.push(`${pathname}${searchParams.size === 0 ? '' : `?${searchParams}`}`);
    const reply = (status: number, body: unknown): void =>
      void response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body));
    if (pathname === '/count') return reply(200, { rows: feed.rows });
    const [from, limit] = [Number(searchParams.get('from')), Number(searchParams.get('limit'))];
    const failures = feed.missing.get(from) ?? 0;
    if (failures > 0) {
      feed.missing.set(from, failures - 1);
      return reply(404, { error: 'no such page' });
    }
    reply(
      200,
      Array.from({ length: Math.max(0, Math.min(limit, feed.rows - from)) }, (_, i) => ({ id: from + i + 1, cents: ((from + i) * 37) % 5000 })),
    );
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  feed.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return feed;
}
