/** A copy that is only looked at: the elements it would be made of, as POST /v1/trees takes them. */
import type { CopyPlan } from './copy-plan.ts';
import type { Json, JsonObject } from './definition.ts';
import { simpleStatus } from './simple-status.ts';
import { Step, type StepState } from './step-states.ts';

/** The `i`th element; `inputs`: JSON text. Fields that only say where it comes from are passed over when it is submitted. */
export function elementOf(plan: CopyPlan, i: number, inputs: string, o: { originalId: string; names: ReadonlyMap<string, number> }): JsonObject {
  const { definition: d, preset } = plan.nodes[i];
  // Names are not unique among children that were spawned: then numbers stand for them.
  const ref = (no: number): JsonObject => {
    const { name } = plan.nodes[no].definition;
    return o.names.get(name) === 1 ? { name } : { id: `${no}` };
  };
  const self = ref(i);
  return {
    ...(self.id === undefined ? {} : self),
    name: d.name,
    ...(d.parent === undefined ? {} : { parent_id: Object.values(ref(d.parent))[0] }),
    ...(d.tied === true ? { tied: true } : {}),
    ...(d.deps === undefined
      ? {}
      : { dependencies: d.deps.map(([no, required, type]): Json => ({ ...ref(no), required, ...(type === undefined ? {} : { type }) })) }),
    ...(d.priority === undefined ? {} : { priority: d.priority }),
    inputs: JSON.parse(inputs) as Json,
    ...(d.params === undefined ? {} : { params: d.params }),
    ...(d.schemas === undefined && d.inputSchema === undefined
      ? {}
      : { schemas: { ...d.schemas, ...(d.inputSchema === undefined ? {} : { input_schema: d.inputSchema }) } }),
    ...(d.handler === '' ? {} : { handler: d.handler }),
    ...(d.userId === undefined ? {} : { user_id: d.userId }),
    ...(d.key === undefined ? {} : { key: d.key }),
    ...(d.expected === undefined ? {} : { [d.unit === 'items' ? 'expected_items' : 'expected_bytes']: d.expected }),
    ...(d.retry === undefined
      ? {}
      : {
          retry: {
            retryable: d.retry.retryable,
            max_attempts: d.retry.maxAttempts,
            backoff: d.retry.backoff,
            backoff_base_ms: d.retry.baseMs,
            max_backoff_ms: d.retry.maxMs,
            jitter: d.retry.jitter,
          },
        }),
    ...(d.timeoutMs === undefined ? {} : { timeout_seconds: d.timeoutMs / 1000 }),
    ...(d.heartbeatMs === undefined ? {} : { heartbeat_seconds: d.heartbeatMs / 1000 }),
    ...(d.allowFailure === true ? { allow_failure: true } : {}),
    ...(d.cancelable === false ? { cancelable: false } : {}),
    ...(d.onChildFailure === undefined ? {} : { on_child_failure: typeof d.onChildFailure === 'number' ? { tolerate: d.onChildFailure } : d.onChildFailure }),
    ...(d.maxChildren === undefined ? {} : { max_concurrent_children: d.maxChildren }),
    status: simpleStatus((preset?.state ?? Step.pending) as StepState),
    origin_type: d.origin?.type ?? 'copy',
    original_task_id: o.originalId,
  };
}
