/** HTTP for tests: a raw request, with exactly the headers and the body that are given. */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests reach into answers
  json: any;
}

export interface Ask {
  method?: string;
  headers?: Record<string, string>;
  /** Text and bytes go as they are; anything else as JSON. */
  body?: unknown;
}

export function ask(url: string, o: Ask = {}): Promise<Answer> {
  const raw = o.body === undefined || typeof o.body === 'string' || o.body instanceof Uint8Array;
  const body = raw ? (o.body as string | Uint8Array | undefined) : JSON.stringify(o.body);
  const headers: Record<string, string> = { ...o.headers };
  if (body !== undefined && !Object.keys(headers).some((h) => h.toLowerCase() === 'content-type')) headers['content-type'] = 'application/json';
  if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
  return new Promise((resolve, reject) => {
    const req = httpRequest(url, { method: o.method ?? 'GET', headers, agent: false }, (res) => resolve(readAnswer(res)));
    req.on('error', reject);
    req.end(body);
  });
}

export async function readAnswer(res: IncomingMessage): Promise<Answer> {
  let text = '';
  res.setEncoding('utf8');
  for await (const chunk of res) text += chunk as string;
  const isJson = res.headers['content-type']?.startsWith('application/json');
  return { status: res.statusCode!, headers: res.headers, text, json: isJson && text !== '' ? JSON.parse(text) : undefined };
}

export interface SseEvent {
  id?: string;
  event?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests reach into events
  data: any;
}

export interface SseStream extends AsyncIterable<SseEvent> {
  status: number;
  response: IncomingMessage;
  /** Comment lines seen so far. */
  comments: string[];
  close(): void;
}

/** Opens an event stream. A status other than 200 comes back too, with nothing to iterate. */
export function openEvents(url: string, headers: Record<string, string> = {}): Promise<SseStream> {
  return new Promise((resolve, reject) => {
    const req = httpRequest(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false }, (response) => {
      const comments: string[] = [];
      resolve({ status: response.statusCode!, response, comments, close: () => req.destroy(), [Symbol.asyncIterator]: () => parse(response, comments) });
    });
    req.on('error', reject);
    req.end();
  });
}

async function* parse(response: IncomingMessage, comments: string[]): AsyncGenerator<SseEvent> {
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    text += chunk as string;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event: SseEvent = { data: undefined };
      for (const line of text.slice(0, end).split('\n')) {
        const [, name, value] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
        if (name === '') comments.push(value);
        else if (name === 'id') event.id = value;
        else if (name === 'event') event.event = value;
        else if (name === 'data') event.data = JSON.parse(value);
      }
      text = text.slice(end + 2);
      if (event.data !== undefined) yield event;
    }
  }
}
