/** Reads `text/event-stream` bytes (the HTML standard's rules for lines, fields and dispatch). */

export interface ServerEvent {
  /** The last id seen so far, empty when none was given: what Last-Event-ID must say on reconnect. */
  id: string;
  type: string;
  data: string;
}

/** `onId` hears of ids that come without an event: they too are what Last-Event-ID must say. */
export async function* readEventStream(body: AsyncIterable<Uint8Array>, onId?: (id: string) => void): AsyncGenerator<ServerEvent, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  let id = '';
  let told = '';
  let type = '';
  let data: string[] = [];
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    // A CR at the very end may be half of a CRLF: it waits for the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length === 0 && id !== told) onId?.(id);
        told = id;
        if (data.length > 0) yield { id, type: type === '' ? 'message' : type, data: data.join('\n') };
        type = '';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
      if (field === 'data') data.push(value);
      else if (field === 'event') type = value;
      else if (field === 'id' && !value.includes('\0')) id = value;
    }
  }
  // What has no closing blank line is incomplete and is dropped: the server will send it again.
}
