/** All of them, in the order they are run and printed. */
import type { Workload } from './workload.ts';
import { bigGraphWorkload } from './workloads/big-graph.ts';
import { bigTreeWorkload } from './workloads/big-tree.ts';
import { chainWorkload } from './workloads/chain.ts';
import { childrenWorkload } from './workloads/children.ts';
import { diamondsWorkload } from './workloads/diamonds.ts';
import { diskWorkload } from './workloads/disk.ts';
import { drainWorkload } from './workloads/drain.ts';
import { fanoutWorkload } from './workloads/fanout.ts';
import { historyWorkload } from './workloads/history.ts';
import { ingestWorkload } from './workloads/ingest.ts';
import { latencyWorkload } from './workloads/latency.ts';
import { memoryWorkload } from './workloads/memory.ts';
import { planChainWorkload } from './workloads/plan-chain.ts';
import { restWorkload } from './workloads/rest.ts';
import { stallPlainWorkload, stallWorkload } from './workloads/stall.ts';
import { startupWorkload } from './workloads/startup.ts';
import { submitWorkload } from './workloads/submit.ts';
import { submitBulkWorkload } from './workloads/submit-bulk.ts';

export const WORKLOADS: readonly Workload[] = [
  chainWorkload,
  diamondsWorkload,
  fanoutWorkload,
  drainWorkload,
  latencyWorkload,
  submitWorkload,
  submitBulkWorkload,
  restWorkload,
  bigGraphWorkload,
  bigTreeWorkload,
  childrenWorkload,
  planChainWorkload,
  ingestWorkload,
  historyWorkload,
  stallWorkload,
  stallPlainWorkload,
  memoryWorkload,
  diskWorkload,
  startupWorkload,
];
