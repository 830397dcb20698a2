/**
 * Every configuration key, once: its type, default, range and meaning. Validation, the names of variables, `config show`
 * and docs/configuration.md all come from this table, so none of them can disagree.
 */
import { isIP } from 'node:net';
import type { ScheduleRequest } from '../core/schedule.ts';

interface FieldBase {
  meaning: string;
  /** Masked wherever configuration is shown. */
  secret?: boolean;
}
export interface FlagField extends FieldBase {
  type: 'boolean';
  default: boolean;
}
export interface IntegerField extends FieldBase {
  type: 'integer';
  default: number;
  min: number;
  max: number;
}
export interface NumberField extends FieldBase {
  type: 'number';
  default: number;
  min: number;
  max: number;
}
export interface TextField extends FieldBase {
  type: 'string';
  default: string;
  check?: (value: string) => string | null;
  range?: string;
}
export interface ChoiceField<V extends string = string> extends FieldBase {
  type: 'choice';
  default: V;
  values: readonly V[];
}
export interface ListField extends FieldBase {
  type: 'list';
  default: readonly string[];
  range?: string;
}
export type Field = FlagField | IntegerField | NumberField | TextField | ChoiceField | ListField;

const flag = (value: boolean, meaning: string): FlagField => ({ type: 'boolean', default: value, meaning });
const integer = (value: number, min: number, max: number, meaning: string): IntegerField => ({ type: 'integer', default: value, min, max, meaning });
const number = (value: number, min: number, max: number, meaning: string): NumberField => ({ type: 'number', default: value, min, max, meaning });
const inbox = (value: number, who: string): IntegerField =>
  integer(value, 1, 1_000_000, `Inbox of ${who}: how many commands may wait before new ones are held back.`);

const hostName = (value: string): string | null =>
  isIP(value) !== 0 || /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(value)
    ? null
    : 'is neither an IP address nor a host name';

const memorySize = (value: string): string | null => (/^\d+(\.\d+)?\s*[KMGT]i?B$/i.test(value) ? null : 'is no size such as 512MiB or 1GB');

const MIB = 1024 * 1024;

export const SCHEMA = {
  web: {
    enabled: flag(true, 'Serve REST, events, metrics and docs over HTTP.'),
    host: {
      type: 'string',
      default: '127.0.0.1',
      check: hostName,
      range: 'IP address or host name',
      meaning: 'Address to listen on. Anything but a loopback address needs at least one API key, or the server refuses to start.',
    } as TextField,
    port: integer(8080, 0, 65_535, 'Port to listen on; 0 takes any free port.'),
    api_keys: {
      type: 'list',
      default: [],
      secret: true,
      range: 'each at least 1 character',
      meaning: 'Keys accepted in `X-API-Key`. Once there is one, every route but `/health*` and `/docs` asks for it.',
    } as ListField,
  },
  grpc: {
    enabled: flag(false, 'Reserved for the gRPC server, which does not exist yet: when true, the server says so in one log line and goes on.'),
    port: integer(9190, 0, 65_535, 'Port of the gRPC server, once there is one.'),
  },
  actors: {
    task_request_channel_size: inbox(1000, 'the TaskRequest actor (submissions)'),
    result_processor_channel_size: inbox(2000, 'the ResultProcessor actor (results, cancels, operator verbs)'),
    step_enqueuer_channel_size: inbox(1000, 'the StepEnqueuer actor (ready steps, due timers)'),
    task_finalizer_channel_size: inbox(500, 'the TaskFinalizer actor (tasks with something decided)'),
  },
  store: {
    path: {
      type: 'string',
      default: '.tutti/tutti.db',
      range: 'a file, or `:memory:`',
      meaning: 'The SQLite file, relative to the working directory. `:memory:` keeps nothing.',
    } as TextField,
  },
  worker: {
    slots: integer(50, 0, 10_000, 'Handlers that this process runs at once; 0 runs none.'),
    grace_seconds: integer(30, 0, 3600, 'Seconds a handler that was told to stop keeps its slot before it is given up.'),
  },
  limits: {
    context_bytes: integer(MIB, 1024, 64 * MIB, 'Largest input (context) of a task, in bytes of JSON.'),
    context_depth: integer(10, 1, 1000, 'Deepest nesting of a task input.'),
    context_items: integer(1000, 1, 10_000_000, 'Most members of one array or object in a task input.'),
    context_string: integer(10_000, 1, 64 * MIB, 'Longest string in a task input, in characters.'),
    value_bytes: integer(MIB, 1024, 64 * MIB, 'Largest result or checkpoint of a step, in bytes of JSON.'),
    tree_elements: integer(200_000, 1, 10_000_000, 'Most elements of one submitted tree, children included.'),
    tree_bytes: integer(256 * MIB, 1024, 8192 * MIB, 'Largest sum of the inputs of one submitted tree, in characters of JSON.'),
    body_bytes: integer(2 * MIB, 1024, 1024 * MIB, 'Largest request body over HTTP, in bytes.'),
  },
  turn: {
    max_rows: integer(1024, 16, 100_000, 'Rows after which a turn of the engine ends and commits.'),
    max_ms: integer(10, 1, 1000, 'Milliseconds of deciding after which a turn ends and commits.'),
  },
  cache: {
    max_steps: integer(1_000_000, 1000, 100_000_000, 'Steps of live tasks kept in memory.'),
    payload_bytes: integer(16 * MIB, 0, 4096 * MIB, 'Bytes of recent inputs and results kept at hand for the steps that read them next.'),
  },
  retention: {
    enabled: flag(true, 'Remove finished tasks by age and count.'),
    max_age_days: integer(30, 0, 36_500, 'Days a finished task is kept; 0 sets no limit by age.'),
    max_count: integer(1_000_000, 0, 1_000_000_000, 'Finished tasks kept, newest first; 0 sets no limit by count.'),
    interval_seconds: integer(60, 1, 86_400, 'Seconds between two looks for what may go.'),
  },
  plans: {
    enabled: flag(true, 'Kill switch. False: no plan is made and none goes on, whatever tables and triggers say; started with true again, all go on.'),
    poll_interval_seconds: integer(10, 1, 86_400, 'Seconds between two looks at all live plans. The end of a batch does not wait for it.'),
    orphan_cleanup_interval_seconds: integer(28_800, 1, 31_536_000, 'Seconds between two sweeps for plans whose table is gone.'),
    retention_days: integer(30, 0, 36_500, 'Days an ended plan is kept; 0 sets no limit by age.'),
    retention_max_count: integer(10_000, 0, 1_000_000_000, 'Ended plans kept, newest first; 0 sets no limit by count.'),
    max_disk_percent: integer(90, 1, 100, 'No batch begins while the disk of the store is fuller than this. A figure that cannot be read is no hindrance.'),
    max_memory_percent: integer(90, 1, 100, 'No batch begins while more than this of the memory is in use.'),
    max_inbox_saturation: number(0.8, 0, 1, 'No batch begins while an inbox of the engine is fuller than this share.'),
  },
  tables: {
    folder: {
      type: 'string',
      default: '.tutti/tables',
      range: 'a folder',
      meaning:
        'Where the segments of tables lie, relative to the working directory. It belongs to one store: with `store.path` changed and this key not, it lies beside that file and is named after it; with `:memory:` it is a temporary one.',
    } as TextField,
    duckdb_memory: {
      type: 'string',
      default: '1GB',
      check: memorySize,
      range: 'a size such as 512MiB or 1GB, at least 64MiB',
      meaning: 'Memory that DuckDB may take for the work of tasks. Each of at most two queries at once has a quarter of it besides.',
    } as TextField,
    duckdb_threads: integer(0, 0, 1024, 'Threads of DuckDB; 0: as many as there are cores.'),
    input_roots: {
      type: 'list',
      default: [],
      range: 'folders',
      meaning:
        'Folders below which tasks may read the files that settings name. None: everywhere; but nowhere if `web.host` is no loopback address. `/` says everywhere.',
    } as ListField,
    output_roots: {
      type: 'list',
      default: [],
      range: 'folders',
      meaning: 'The same for the files that tasks write.',
    } as ListField,
  },
  shutdown: {
    drain_seconds: integer(30, 0, 3600, 'Seconds that running handlers get to finish when the process is asked to stop.'),
  },
  templates: {
    paths: {
      type: 'list',
      default: [],
      range: 'files or folders',
      meaning:
        'Template files to load at start: YAML, JSON, or TypeScript/JavaScript modules that export templates and handlers. A folder means every YAML file below it.',
    } as ListField,
  },
  log: {
    level: {
      type: 'choice',
      default: 'info',
      values: ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'],
      meaning: 'Least serious lines that are logged.',
    } as ChoiceField<'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'>,
  },
} as const satisfies Record<string, Record<string, Field>>;

type ValueOf<F> = F extends FlagField
  ? boolean
  : F extends IntegerField | NumberField
    ? number
    : F extends ChoiceField<infer V>
      ? V
      : F extends ListField
        ? readonly string[]
        : string;

/** The whole configuration. Section and key names are those of the TOML file below `[orchestration]`. Deeply frozen. */
export type TuttiConfig = {
  readonly [S in keyof typeof SCHEMA]: { readonly [K in keyof (typeof SCHEMA)[S]]: ValueOf<(typeof SCHEMA)[S][K]> };
} & {
  /** Of the files' `[[orchestration.schedules]]`. */
  readonly schedules: readonly ScheduleRequest[];
};

export interface Key {
  section: string;
  name: string;
  /** `orchestration.web.port`. */
  path: string;
  /** `TUTTI_WEB_PORT`. */
  variable: string;
  field: Field;
}

export const KEYS: readonly Key[] = Object.entries(SCHEMA).flatMap(([section, fields]) =>
  Object.entries(fields).map(([name, field]) => ({
    section,
    name,
    path: `orchestration.${section}.${name}`,
    variable: `TUTTI_${section}_${name}`.toUpperCase(),
    field: field as Field,
  })),
);

/** Variables that are no key of the file. */
export const OTHER_VARIABLES: readonly { name: string; meaning: string }[] = [
  {
    name: 'TUTTI_ENV',
    meaning:
      'Environment: chooses `config/tutti/environments/<TUTTI_ENV>/orchestration.toml` and the `environments` part of template files. Default `development`.',
  },
  { name: 'TUTTI_API_KEY', meaning: 'One API key. For a server: accepted beside `TUTTI_WEB_API_KEYS`; for the command line: sent with every request.' },
  { name: 'TUTTI_URL', meaning: 'Address of the server that the command line talks to. Default `http://127.0.0.1:8080`.' },
  { name: 'TUTTI_SOAK', meaning: "Lengthens the project's own tests. Nothing else reads it." },
];

/** Names under which a key is known elsewhere: accepted at the top of a file, with dots or as nested tables, and as variables. */
export const ALIASES: readonly { name: string; path: string }[] = [
  { name: 'controller.startree.task.manager.enableTaskOrchestration', path: 'orchestration.plans.enabled' },
  {
    name: 'controller.startree.task.manager.orphanedTaskPlanCleanupIntervalInSeconds',
    path: 'orchestration.plans.orphan_cleanup_interval_seconds',
  },
];
