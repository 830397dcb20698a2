import type { Plans, PlanView } from '../../engine/plan-views.ts';

/** One plan, as the code that began or found it holds it. It keeps nothing but the id: every verb asks the engine. */
export class PlanHandle {
  /** `<resource>__<task type>__<uuid>`. */
  readonly id: string;
  readonly #plans: Plans;

  constructor(plans: Plans, id: string) {
    this.id = id;
    this.#plans = plans;
  }

  /** Waits for the end, whatever it is: COMPLETED, CANCELLED or FAILED. Throws NOT_FOUND where the plan is removed meanwhile. */
  done(): Promise<PlanView> {
    return this.#plans.ended(this.id);
  }

  view(): Promise<PlanView> {
    return this.#plans.plan(this.id);
  }

  /** Nothing new is generated from here on; a running batch ends by itself, then the plan is CANCELLED. Throws NOT_FOUND, ILLEGAL_STATE (it has ended). */
  abort(o: { by?: string; reason?: string } = {}): Promise<PlanView> {
    return this.#plans.abort(this.id, o);
  }
}
