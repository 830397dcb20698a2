/** docs/api.md, written from the route table. */
import { HANDLER_NAMES, ROUTES, type Route } from './routes.ts';

const INTRO = `# REST API

\`\`\`sh
curl -X POST http://localhost:8080/v1/tasks -H "Content-Type: application/json" -H "X-API-Key: your-api-key" \\
  -d '{"name":"order_fulfillment","namespace":"orders","version":"1.0.0"}'
\`\`\`

The server describes itself: an explorer at \`/docs\`, OpenAPI 3.1 at \`/docs/openapi.json\`. Failures are in [errors.md](errors.md), metrics in
[metrics.md](metrics.md).

- Keys: once \`[orchestration.web] api_keys\` or \`TUTTI_API_KEY\` is set, every route that is not marked open asks for one, in \`X-API-Key\` or as
  \`Authorization: Bearer <key>\`, and answers 401 before it reads the body. Without a key the server listens on this machine only.
- Routes below \`/tasks\` are those of task plans ([plans.md](plans.md)): they keep the names, the camelCase and the body of failures that clients of a Pinot
  controller know. What follows is about the others.
- Bodies are JSON objects. A key that a route does not know is refused by name; so is a query parameter.
- Times are RFC 3339 in UTC. Ids are UUIDs; a step can be named instead.
- Lists come newest first. Follow \`next_cursor\` (or the \`Link\` header) until it is null. \`page\` and \`per_page\` work too. Tasks are counted in
  \`pagination\` unless a cursor is given; \`total_count\` stops at 10,000 and \`total_count_capped\` says so.
- Limits that are given in characters count UTF-16 units, as the length of a JavaScript string does: most emoji are two.
- \`failed_steps\` names the steps that ended in error, those included whose failure was handled; \`failed_steps_count\` counts them.
- Events: \`GET /v1/tasks/{id}/events\` sends every event of the task's log and then live ones, and closes after the last. Come back with
  \`Last-Event-ID\` and nothing is lost or sent twice; 204 says that there is nothing left. Progress events carry no id and are not replayed.
- Events of all tasks: \`GET /v1/events\` with \`Accept: text/event-stream\` sends them in the order they were committed and stays open; without
  it you get a page, and \`next_cursor\` leads to the next one. Ids are cursors: give the last one back as \`Last-Event-ID\` or \`after\`, and
  nothing is lost or sent twice. \`after=now\` begins with what comes; without either you get all that is kept. While nothing matches, the stream
  moves its id on by itself, so that a cursor does not grow old. Filters (\`type\`, \`task\`, \`namespace\`, \`name\`, \`state\`) are applied to the log as
  it is read: they save sending, not reading, except \`task\`. So a page may hold few events, or none, and have more (\`has_more\`).
- A task that retention or \`purge\` removes takes its events along. A cursor answers 410 (GONE) when events behind it, and newer than any removed
  before it was given, have been removed since: begin anew without a cursor, or with \`after=now\`. Gaps that were there before are passed over, and
  so is what is removed while a stream is open.

| Method | Path | What it does | Key |
| --- | --- | --- | --- |
`;

export const apiPage = (): string =>
  INTRO +
  HANDLER_NAMES.map((n): Route => ROUTES[n])
    .map((r) => `| ${r.method} | \`${r.path}\` | ${r.summary} | ${r.permission === null ? 'open' : 'asked for'} |\n`)
    .join('');
