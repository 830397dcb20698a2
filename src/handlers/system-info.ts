/** `system_info`: what the machine that runs the step is, and how much of it is free. */
import { statfs } from 'node:fs/promises';
import { arch, availableParallelism, cpus, freemem, hostname, loadavg, platform, release, totalmem, uptime } from 'node:os';
import { resolve } from 'node:path';
import { PermanentError } from '../sdk/handler-errors.ts';
import type { StandardSchema } from '../sdk/standard-schema.ts';
import type { UntypedStepContext } from '../sdk/step-types.ts';
import { givenInputs } from './given-inputs.ts';

export const RESOURCES = ['cpu', 'memory', 'disk', 'all'] as const;
export type Resource = (typeof RESOURCES)[number];

/** Load of one, five and fifteen minutes; zeros on Windows. */
export interface CpuInfo {
  model: string | null;
  architecture: string;
  cores: number;
  speed_mhz: number | null;
  load_average: number[];
}

export interface SpaceInfo {
  total_bytes: number;
  /** What a program may still take. */
  free_bytes: number;
  used_bytes: number;
  /** Of the total, two decimals. */
  used_percent: number;
}

/** One part by its name; with `all`, every part and `system`. */
export interface SystemInfo {
  system?: { hostname: string; platform: string; release: string; uptime_seconds: number };
  cpu?: CpuInfo;
  memory?: SpaceInfo;
  disk?: SpaceInfo & { path: string };
}

/** The resource named in the inputs, default `all`; undefined: it names none that there is. */
const resourceOf = (inputs: unknown): Resource | undefined => {
  if (typeof inputs !== 'object' || inputs === null) return undefined;
  const { resource = 'all' } = inputs as { resource?: unknown };
  return RESOURCES.find((r) => r === resource);
};

const REFUSAL = `must be one of ${RESOURCES.join(', ')}`;

export const RESOURCE_SCHEMA: StandardSchema = {
  '~standard': {
    version: 1,
    vendor: 'tutti',
    validate: (value) => (resourceOf(value) === undefined ? { issues: [{ message: REFUSAL, path: ['resource'] }] } : { value }),
    jsonSchema: { input: () => ({ type: 'object', properties: { resource: { enum: [...RESOURCES], default: 'all' } } }) },
  },
};

/**
 * Inputs: `resource`. The result does not say which resource was asked for: where results are laid over inputs it would tell a
 * dependant that asks for another one to ask for this one.
 */
export async function systemInfo(ctx: UntypedStepContext): Promise<SystemInfo> {
  const resource = resourceOf(givenInputs(ctx));
  switch (resource) {
    case 'cpu':
      return { cpu: cpuInfo() };
    case 'memory':
      return { memory: memoryInfo() };
    case 'disk':
      return { disk: await diskInfo() };
    case 'all':
      return {
        system: { hostname: hostname(), platform: platform(), release: release(), uptime_seconds: Math.floor(uptime()) },
        cpu: cpuInfo(),
        memory: memoryInfo(),
        disk: await diskInfo(),
      };
    case undefined:
      throw new PermanentError(`resource ${REFUSAL}`, { code: 'invalid_input' });
    default:
      return resource satisfies never;
  }
}

function cpuInfo(): CpuInfo {
  // Some virtual machines and containers list no processor.
  const first = cpus().at(0);
  return { model: first?.model ?? null, architecture: arch(), cores: availableParallelism(), speed_mhz: first?.speed ?? null, load_average: loadavg() };
}

const memoryInfo = (): SpaceInfo => space(totalmem(), freemem(), totalmem() - freemem());

/** The disk that the root of the file system is on. */
async function diskInfo(): Promise<SpaceInfo & { path: string }> {
  const path = resolve('/');
  const { bsize, blocks, bfree, bavail } = await statfs(path);
  return { path, ...space(blocks * bsize, bavail * bsize, (blocks - bfree) * bsize) };
}

const space = (total: number, free: number, used: number): SpaceInfo => ({
  total_bytes: total,
  free_bytes: free,
  used_bytes: used,
  used_percent: total === 0 ? 0 : Math.round((used / total) * 10_000) / 100,
});
