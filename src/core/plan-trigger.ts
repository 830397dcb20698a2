/** What becomes of a trigger for one (resource, task type): spec/startree.md §7, as issue "task plans" overrules it. */

export interface TriggerFacts {
  /** The kill switch. */
  enabled: boolean;
  /** forceLegacyTaskFlow, of the caller or of the resource. */
  force: boolean;
  /** enableTaskOrchestration. */
  flag: boolean;
  supportsOrchestration: boolean;
  orchestratedOnly: boolean;
  /** A plan of the pair is live. */
  live: boolean;
  via: 'execute' | 'schedule' | 'cron';
}

/** plan: make one. once: a one-shot run. reject: tell the caller of the live plan. skip: say nothing, count it. refuse: it runs as a plan only. */
export type TriggerVerdict = 'plan' | 'once' | 'reject' | 'skip' | 'refuse';

export function decideTrigger(f: TriggerFacts): TriggerVerdict {
  const legacy = !f.enabled || f.force;
  // While a plan is live nothing else of the pair runs, flag or no flag: only the switch and the force flag let a one-shot run pass.
  if (f.live && !legacy) return f.via === 'execute' ? 'reject' : 'skip';
  if (!legacy && f.flag && f.supportsOrchestration) return 'plan';
  return f.orchestratedOnly ? 'refuse' : 'once';
}

/** Settings are texts: "true" in any case is true, all else is false. */
export const isTrue = (text: string | undefined): boolean => text?.toLowerCase() === 'true';
