/** Tables of one process: their records in the store, their files in a folder, their rows, queries and upkeep. */
import { pathToFileURL } from 'node:url';
import type { Json, JsonObject } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { KeyedLock } from '../core/keyed-lock.ts';
import { showValue } from '../core/show-value.ts';
import type { Plans } from '../engine/plan-views.ts';
import type { Caller, Resource, ResourceKind, Resources } from '../engine/resource-port.ts';
import type { Duck } from './duckdb.ts';
import { Gate } from './gate.ts';
import type { QueryProcesses } from './query-processes.ts';
import { RealtimeRows } from './realtime-rows.ts';
import { bodyOf, dataOf, type Segments, type StoredSegment, type TableBody, type TableData } from './segments.ts';
import { checkSettings, type ConfigChecks, readConfig } from './table-config.ts';
import { isNotFound, tableKind } from './table-kind.ts';
import { claimFolder } from './table-folder.ts';
import { checkTableName, idsOf, partsOfId, tableId } from './table-names.ts';
import { queryTable } from './table-query.ts';
import { type OwnedSchedules, TableSchedules } from './table-schedules.ts';
import { readSchema, SCHEMA_KEY } from './table-schema.ts';
import {
  type NewRows,
  type NewTable,
  type QueryResult,
  type SegmentPage,
  SEGMENTS_PAGE,
  type SegmentView,
  TABLE_KIND,
  TABLE_TYPES,
  type TableDetails,
  type Tables,
  type TableView,
} from './tables.ts';

export interface TableServiceOptions {
  resources: Resources;
  plans: Pick<Plans, 'active' | 'taskType' | 'checkSettings'>;
  schedules: OwnedSchedules;
  duck: Duck;
  segments: Segments;
  queries: QueryProcesses;
  /** For files that DuckDB reads. */
  tempFolder: string;
  checkCron: ConfigChecks['checkCron'];
  authorise?: ResourceKind['authorise'];
  now(): number;
  uuid(): string;
  timer(ms: number, fn: () => void): () => void;
  /** Runs `fn` in the next turn of the event loop. */
  soon(fn: () => void): void;
  log(level: 'warn' | 'error', message: string, details: Record<string, unknown>): void;
  /** Between two sweeps of files. Default 10 min. */
  sweepMs?: number;
}

const SWEEP_MS = 10 * 60_000;
/** Configs whose settings task types look at, some of them with DuckDB, and those that may wait for that. */
const CHECKS_AT_ONCE = 4;
const CHECKS_WAITING = 64;

export class TableService implements Tables {
  /** For the engine. */
  readonly kind: ResourceKind;
  readonly #o: TableServiceOptions;
  readonly #rows: RealtimeRows;
  readonly #schedules: TableSchedules;
  readonly #checks: ConfigChecks;
  readonly #checking = new Gate(CHECKS_AT_ONCE, CHECKS_WAITING);
  /** Config and schedules of a table change together: of two at once, one's config could stay with the other's schedules. */
  readonly #changes = new KeyedLock();
  #cancelSweep = (): void => {};
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(o: TableServiceOptions) {
    this.#o = o;
    this.#rows = new RealtimeRows(o);
    this.#schedules = new TableSchedules(
      () => o.schedules,
      (name) => o.plans.taskType(name),
    );
    this.#checks = {
      checkCron: o.checkCron,
      taskType: (name) => o.plans.taskType(name),
      checkSettings: (type, settings, table) => o.plans.checkSettings(type, settings, table),
    };
    this.kind = tableKind({ resources: () => o.resources, authorise: o.authorise, onDrop: (id) => this.#dropped(id) });
  }

  /** Goes on with what an earlier process left: rows to seal, schedules to put right, files to sweep. Once the task types are known. */
  async start(): Promise<void> {
    const { segments, resources, uuid } = this.#o;
    await claimFolder({ folder: segments.folder, resources, uuid }, false);
    const tables = await this.#all();
    await this.#schedules.reconcile(
      tables.map((r) => ({ id: r.id, config: bodyOf(r).config })),
      (table, e) => this.#o.log('warn', `the schedules of ${table} are not as its config says`, { error: String(e) }),
    );
    for (const r of tables) if (bodyOf(r).type === 'REALTIME') await this.#rows.resume(await this.#data(r));
    this.#sweepLater();
  }

  /** Begins nothing any more, and ends when nothing of its own runs. DuckDB stays open: tasks may run on it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelSweep();
    await Promise.all([this.#rows.close(), this.#o.queries.close(), this.#sweeping]);
  }

  async create(t: NewTable): Promise<TableView> {
    checkTableName(t.name);
    if (!TABLE_TYPES.includes(t.type))
      throw new TuttiError('INVALID_INPUT', `type must be ${TABLE_TYPES.join(' or ')}, not ${showValue(t.type)}`, { field: 'type' });
    const schema = readSchema(t.schema);
    const config = readConfig(t.config ?? {}, schema, this.#checks);
    const id = tableId(t.name, t.type);
    const { segments, resources, uuid } = this.#o;
    await claimFolder({ folder: segments.folder, resources, uuid }, true);
    const body = (c: JsonObject): Json => ({ type: t.type, schema, config: c }) satisfies TableBody as unknown as Json;
    // With no settings first: task types look at the table's schema to say what is wrong with theirs.
    let resource = await this.#o.resources.create({ id, kind: TABLE_KIND, body: body({}) });
    try {
      await this.#checking.pass(() => checkSettings(config, id, this.#checks));
      resource = await this.#store(resource, body(config), config);
    } catch (e) {
      await this.#o.resources.remove(id);
      throw e;
    }
    return viewOf(resource, await this.#data(resource));
  }

  async mayCreate(caller: Caller, id: string): Promise<boolean> {
    return (await this.#o.authorise?.(caller, id, 'write')) ?? true;
  }

  async list(): Promise<TableView[]> {
    const views: TableView[] = [];
    for (const r of await this.#all()) {
      const data = await this.#data(r).catch(unlessNotFound);
      // Dropped while the others were looked at.
      if (data !== null) views.push(viewOf(r, data));
    }
    return views;
  }

  async idOf(table: string): Promise<string> {
    return (await this.#find(table)).id;
  }

  async get(table: string): Promise<TableDetails> {
    const r = await this.#find(table);
    const data = await this.#data(r);
    const [visible, unsealed] = await Promise.all([
      this.#o.segments.visible(r.id),
      data.type === 'REALTIME' ? this.#rows.state(data) : { rows: 0, error: null },
    ]);
    const sum = (of: (s: StoredSegment) => number): number => visible.reduce((total, s) => total + of(s), 0);
    return {
      ...viewOf(r, data),
      segments: visible.length,
      rows: sum((s) => s.segment.rows),
      bytes: sum((s) => s.segment.bytes),
      unsealedRows: unsealed.rows,
      sealError: unsealed.error,
    };
  }

  async setConfig(table: string, config: JsonObject): Promise<TableView> {
    const r = await this.#find(table);
    const data = await this.#data(r);
    const kept = readConfig(config, data.schema, this.#checks);
    await this.#checking.pass(() => checkSettings(kept, r.id, this.#checks));
    const updated = await this.#store(r, { ...bodyOf(r), config: kept } satisfies TableBody as unknown as Json, kept);
    return viewOf(updated, { ...data, config: kept });
  }

  #store(r: Resource, body: Json, config: JsonObject): Promise<Resource> {
    return this.#changes.locked(r.id, async () => {
      const updated = await this.#o.resources.update(r.id, { body, expect: r.version });
      await this.#schedules.follow(r.id, config);
      return updated;
    });
  }

  async drop(table: string, { ignoreActiveTasks = false }: { ignoreActiveTasks?: boolean } = {}): Promise<{ id: string }> {
    const { id } = await this.#find(table);
    await this.#changes.locked(id, async () => {
      if (!ignoreActiveTasks) await this.#refuseActive(id);
      // A crash behind this line leaves a table without its schedules: the next start brings them back.
      await this.#schedules.drop(id);
      await this.#o.resources.remove(id);
    });
    return { id };
  }

  async segments(table: string, { after, limit = SEGMENTS_PAGE.default }: { after?: string; limit?: number } = {}): Promise<SegmentPage> {
    if (!Number.isInteger(limit) || limit < 1 || limit > SEGMENTS_PAGE.max)
      throw new TuttiError('INVALID_INPUT', `limit must be a whole number from 1 to ${SEGMENTS_PAGE.max}`, { field: 'limit' });
    const { id } = await this.#find(table);
    const [swap, found] = [await this.#o.segments.currentSwap(id), await this.#o.segments.page(id, { after, limit: limit + 1 })];
    const page = found.slice(0, limit);
    return { segments: page.map((s) => this.#segmentView(s, swap)), next: found.length > limit ? (page.at(-1)?.name ?? null) : null };
  }

  async addRows(table: string, rows: NewRows): Promise<{ added: number; unsealedRows: number }> {
    const data = await this.#realtime(table);
    // Rows that could never become a segment are not taken.
    await this.#o.duck.ready();
    return await this.#rows.add(data, rows);
  }

  async seal(table: string): Promise<{ segments: string[]; rows: number }> {
    return await this.#rows.seal(await this.#realtime(table));
  }

  async query(table: string, sql: string, o: { limit?: number; signal?: AbortSignal } = {}): Promise<QueryResult> {
    const r = await this.#find(table);
    const { name = r.id } = partsOfId(r.id) ?? {};
    const alone = (await this.#halves(name)).length === 1;
    return await queryTable(await this.#data(r), alone ? [r.id, name] : [r.id], sql, o, this.#o);
  }

  /** One look at all files of all tables. */
  async sweep(): Promise<void> {
    for (const { id } of await this.#all()) {
      if (this.#closed) return;
      await this.#o.segments.sweep(id, async () => (await this.#o.plans.active({ resource: id, once: true })).length === 0).catch(unlessNotFound);
    }
    await this.#o.segments.sweepFolders();
  }

  #sweepLater(): void {
    if (this.#closed) return;
    this.#cancelSweep = this.#o.timer(this.#o.sweepMs ?? SWEEP_MS, () => {
      this.#sweeping = this.sweep()
        .catch((e: unknown) => this.#o.log('warn', 'the files of tables could not be swept', { error: String(e) }))
        .finally(() => this.#sweepLater());
    });
  }

  async #dropped(id: string): Promise<void> {
    await this.#rows.forget(id);
    await this.#schedules.drop(id);
    await this.#o.segments.sweepFolders();
  }

  async #refuseActive(id: string): Promise<void> {
    for (const plan of await this.#o.plans.active({ resource: id, once: true })) {
      const running = plan.batches.reduce((sum, b) => sum + b.subtasks.running, 0);
      if (running === 0) continue;
      throw new TuttiError(
        'ILLEGAL_STATE',
        `${running} subtasks of ${plan.planId} run on ${id}: wait for them (a plan can be aborted), or drop the table with ignoreActiveTasks=true`,
        {
          details: { plan_id: plan.planId, running },
        },
      );
    }
  }

  #segmentView({ name, segment: s }: StoredSegment, swap: string | null): SegmentView {
    return {
      name,
      uri: pathToFileURL(this.#o.segments.pathOf(s)).href,
      rows: s.rows,
      bytes: s.bytes,
      minTimeMs: s.minTime,
      maxTimeMs: s.maxTime,
      createdAtMs: s.createdAt,
      visible: s.visible && s.swap === swap,
      schemaVersion: s.schemaVersion,
      lineage: { ...s.lineage, ...(s.swap === null ? {} : { swap: s.swap }) },
    };
  }

  async #realtime(table: string): Promise<TableData> {
    const data = await this.#data(await this.#find(table));
    if (data.type !== 'REALTIME')
      throw new TuttiError('ILLEGAL_STATE', `${data.id} is an OFFLINE table: tasks fill it, and rows are added to REALTIME tables only`);
    return data;
  }

  async #data(r: Resource): Promise<TableData> {
    return dataOf(r, await this.#o.resources.item(r.id, SCHEMA_KEY));
  }

  async #find(table: string): Promise<Resource> {
    const halves = typeof table === 'string' ? await this.#halves(table) : [];
    if (halves.length === 1) return halves[0];
    if (halves.length === 0) throw new TuttiError('NOT_FOUND', `there is no table ${showValue(table)}`);
    throw new TuttiError('INVALID_INPUT', `${table} is two tables: say ${halves.map((r) => r.id).join(' or ')}`, { field: 'table' });
  }

  async #halves(name: string): Promise<Resource[]> {
    const found = await Promise.all(idsOf(name).map((id) => this.#o.resources.get(id)));
    return found.filter((r) => r?.kind === TABLE_KIND) as Resource[];
  }

  async #all(): Promise<Resource[]> {
    const tables: Resource[] = [];
    for (let after: string | undefined; ; after = tables.at(-1)?.id) {
      const page = await this.#o.resources.list({ kind: TABLE_KIND, after, limit: 1000 });
      tables.push(...page);
      if (page.length < 1000) return tables;
    }
  }
}

function unlessNotFound(e: unknown): null {
  if (isNotFound(e)) return null;
  throw e;
}

function viewOf(r: Resource, { type, schema, config }: TableData): TableView {
  const { version, columns, timeColumn } = schema;
  return { id: r.id, name: partsOfId(r.id)?.name ?? r.id, type, schema: { columns, timeColumn, version }, config, createdAtMs: r.createdAt };
}
