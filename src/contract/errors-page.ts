/** docs/errors.md, written from the error registry. */
import { ERRORS } from '../core/errors.ts';

const INTRO = `# Errors

Every answer of 400 or above has this body, whatever went wrong (but for two families of routes, below):

\`\`\`json
{ "error": { "code": "INVALID_INPUT", "message": "priority must be an integer from 0 (urgent) to 3", "field": "priority", "request_id": "mwq5nr64-1" } }
\`\`\`

Match on \`code\`: it never changes its meaning. \`message\` is for people and may be reworded. \`field\` is the path of what was wrong, as in
\`tasks[3].context\`; \`details.issues\` lists every problem when there are several. \`request_id\` is also in the header \`x-request-id\`; it is your
own when you send one. An answer of 503 has the header \`Retry-After\`; \`retry_after_seconds\` says the same where trying again makes sense.

Routes below \`/tasks\` and \`/tables\` say the same as a Pinot controller does, \`code\` being the status, with ours beside it:

\`\`\`json
{ "code": 404, "error": "there is no resource trips", "error_code": "NOT_FOUND", "field": "tableName", "request_id": "mwq5nr64-2" }
\`\`\`

In a program that embeds Tutti the same codes are on \`TuttiError\`. "Retry" says whether the very same call may succeed later.

| Code | HTTP | gRPC | Retry | Meaning |
| --- | --- | --- | --- | --- |
`;

export const errorsPage = (): string =>
  INTRO +
  Object.entries(ERRORS)
    .map(([code, e]) => `| \`${code}\` | ${e.http} | ${e.grpc} | ${e.retryable ? 'yes' : 'no'} | ${e.meaning} |\n`)
    .join('');
