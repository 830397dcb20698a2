import type { WireSchedule, WireScheduleList, WireSchedulePreview, WireTick, WireTickList } from '../../contract/schedule-wire.ts';

type Call = <T>(method: string, path: string, o?: { query?: Record<string, string | number | undefined>; body?: unknown }) => Promise<T>;

/** What a schedule is asked to be, as the REST API spells it (docs/schedules.md). */
export interface ScheduleFields {
  description?: string;
  template?: string;
  context?: unknown;
  tick_field?: string;
  priority?: number;
  tags?: string[];
  cron?: string;
  dialect?: string;
  time_zone?: string;
  every_seconds?: number;
  anchor?: string;
  at?: string;
  overlap?: string;
  catch_up?: string;
  max_catch_up?: number;
  late_after_seconds?: number;
  paused?: boolean;
}

/** /v1/schedules. */
export class ScheduleClient {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  create(body: ScheduleFields & { key: string }): Promise<WireSchedule> {
    return this.#call('POST', '/v1/schedules', { body });
  }

  put(key: string, body: ScheduleFields): Promise<WireSchedule> {
    return this.#call('PUT', of(key), { body });
  }

  list(query: { after?: string; limit?: number } = {}): Promise<WireScheduleList> {
    return this.#call('GET', '/v1/schedules', { query });
  }

  get(key: string): Promise<WireSchedule> {
    return this.#call('GET', of(key));
  }

  async remove(key: string): Promise<void> {
    await this.#call('DELETE', of(key));
  }

  pause(key: string): Promise<WireSchedule> {
    return this.#call('POST', `${of(key)}/pause`);
  }

  resume(key: string): Promise<WireSchedule> {
    return this.#call('POST', `${of(key)}/resume`);
  }

  fire(key: string): Promise<WireTick> {
    return this.#call('POST', `${of(key)}/fire`);
  }

  preview(key: string, n?: number): Promise<WireSchedulePreview> {
    return this.#call('GET', `${of(key)}/preview`, { query: { n } });
  }

  ticks(key: string, query: { before?: string; limit?: number } = {}): Promise<WireTickList> {
    return this.#call('GET', `${of(key)}/ticks`, { query });
  }
}

const of = (key: string): string => `/v1/schedules/${encodeURIComponent(key)}`;
