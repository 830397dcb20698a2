/** docs/metrics.md, written from the table of metrics. */
import { METRICS } from './metrics.ts';

const INTRO = `# Metrics

\`GET /metrics\` answers in the text format of Prometheus. It asks for an API key like any other route once one is set:

\`\`\`yaml
scrape_configs:
  - job_name: tutti
    authorization: { type: Bearer, credentials: your-api-key }
    static_configs: [{ targets: ['localhost:8080'] }]
\`\`\`

Counters start at zero with the process. A histogram has the usual \`_bucket\`, \`_sum\` and \`_count\` series, a summary the last two.

Worth an alert: \`tutti_actor_saturation\` above 0.8 for minutes, \`tutti_commit_failures_total\` rising, \`tutti_reconciler_repairs_total\` above 0,
\`tutti_slots_stopping\` that does not go down (handlers that ignore their abort signal), \`taskPlanProgressionBlocked\` at 1 for longer than you
stopped the queue yourself, \`orchestrationTimeSinceLastPollMs\` above a few poll intervals.

Metrics of task plans have the names that a Pinot controller gives them, and are labelled by table and task type ([plans.md](plans.md)). The counters
of a pair appear with the first of its plans or events, its gauges while a plan is live. Sum the three without labels over all processes.

| Metric | Type | Labels | Meaning |
| --- | --- | --- | --- |
`;

export const metricsPage = (): string =>
  INTRO + METRICS.map((m) => `| \`${m.name}\` | ${m.type} | ${m.labels.map((l) => `\`${l}\``).join(', ') || '-'} | ${m.help} |\n`).join('');
