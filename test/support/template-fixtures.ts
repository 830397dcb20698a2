/** Templates in the shapes of the well-known test workflows, and small helpers to write others. */
import { DEFAULT_RETRY, type FailurePolicy, type RetryPolicy, type StepDefinition, type TemplateDefinition } from '../../src/core/definition.ts';

export interface StepSketch extends Partial<Omit<StepDefinition, 'dependencies' | 'retry'>> {
  name: string;
  /** `'a'` needs a; `'a?'` waits for a whatever becomes of it. */
  after?: readonly string[];
  retry?: Partial<RetryPolicy>;
}

/** No waiting between attempts, three of them. */
export const QUICK_RETRY: RetryPolicy = { ...DEFAULT_RETRY, backoff: 'none', baseMs: 0, jitter: 0 };

export function step(s: StepSketch): StepDefinition {
  const { name, after = [], retry, ...rest } = s;
  return {
    type: 'standard',
    handler: name,
    ...rest,
    name,
    dependencies: after.map((d) => (d.endsWith('?') ? { name: d.slice(0, -1), required: false } : { name: d, required: true })),
    retry: { ...QUICK_RETRY, ...retry },
  };
}

export const graph = (name: string, steps: readonly StepSketch[], o: Partial<TemplateDefinition> = {}): TemplateDefinition => ({
  namespace: 'fixtures',
  name,
  version: '1.0.0',
  policy: 'fail',
  ...o,
  steps: steps.map(step),
});

type Options = Partial<TemplateDefinition>;

export const linear = (o: Options = {}): TemplateDefinition =>
  graph(
    'mathematical_sequence',
    [{ name: 'step_1' }, { name: 'step_2', after: ['step_1'] }, { name: 'step_3', after: ['step_2'] }, { name: 'step_4', after: ['step_3'] }],
    o,
  );

export const diamond = (o: Options = {}): TemplateDefinition =>
  graph(
    'diamond_pattern',
    [{ name: 'start' }, { name: 'branch_b', after: ['start'] }, { name: 'branch_c', after: ['start'] }, { name: 'end', after: ['branch_b', 'branch_c'] }],
    o,
  );

export const tree = (o: Options = {}): TemplateDefinition =>
  graph(
    'hierarchical_tree',
    [
      { name: 'root' },
      { name: 'left', after: ['root'] },
      { name: 'right', after: ['root'] },
      { name: 'leaf_d', after: ['left'] },
      { name: 'leaf_e', after: ['left'] },
      { name: 'leaf_f', after: ['right'] },
      { name: 'leaf_g', after: ['right'] },
      { name: 'convergence', after: ['leaf_d', 'leaf_e', 'leaf_f', 'leaf_g'] },
    ],
    o,
  );

export const mixedDag = (o: Options = {}): TemplateDefinition =>
  graph(
    'complex_dag',
    [
      { name: 'init' },
      { name: 'left', after: ['init'] },
      { name: 'right', after: ['init'] },
      { name: 'validate', after: ['left', 'right'] },
      { name: 'transform', after: ['left'] },
      { name: 'analyze', after: ['right'] },
      { name: 'finalize', after: ['validate', 'transform', 'analyze'] },
    ],
    o,
  );

export const orderFulfilment = (o: Options = {}): TemplateDefinition =>
  graph(
    'business_workflow',
    [
      { name: 'validate_order' },
      { name: 'reserve_inventory', after: ['validate_order'] },
      { name: 'process_payment', after: ['validate_order', 'reserve_inventory'], retry: { maxAttempts: 2 } },
      { name: 'ship_order', after: ['validate_order', 'reserve_inventory', 'process_payment'] },
    ],
    o,
  );

/** One step and its retry rules. */
export const single = (name: string, retry: Partial<RetryPolicy> = {}, o: Options = {}, more: Partial<StepSketch> = {}): TemplateDefinition =>
  graph(name, [{ name: 'only', ...more, retry }], o);

export const errorTesting = (o: Options = {}): TemplateDefinition =>
  graph('error_testing', [{ name: 'success_step' }, { name: 'permanent_step' }, { name: 'retryable_step' }], o);

export const pipeline = (o: Options = {}): TemplateDefinition =>
  graph(
    'analytics_pipeline',
    [
      ...['sales', 'stock', 'customers'].map((x) => ({ name: `extract_${x}` })),
      ...['sales', 'stock', 'customers'].map((x) => ({ name: `transform_${x}`, after: [`extract_${x}`] })),
      { name: 'aggregate_metrics', after: ['transform_sales', 'transform_stock', 'transform_customers'] },
      { name: 'generate_insights', after: ['aggregate_metrics'] },
    ],
    o,
  );

export const fanOut = (width: number, o: Options = {}): TemplateDefinition => {
  const names = Array.from({ length: width }, (_, i) => `part_${i}`);
  return graph(`fan_out_${width}`, [{ name: 'split' }, ...names.map((name) => ({ name, after: ['split'] })), { name: 'join', after: names }], o);
};

export const FIXTURES = [linear, diamond, tree, mixedDag, orderFulfilment, errorTesting, pipeline] as const;
export const POLICIES: readonly FailurePolicy[] = ['fail', 'fail_fast', 'block', 'record'];

/** A random graph of `n` steps: the shapes and rules come from `draw`, a source of numbers in [0, 1). */
export function randomGraph(name: string, n: number, draw: () => number, o: Options = {}): TemplateDefinition {
  const density = 0.1 + draw() * 0.4;
  const steps: StepSketch[] = [];
  for (let i = 0; i < n; i++) {
    const after: string[] = [];
    for (let j = 0; j < i; j++) if (draw() < density) after.push(draw() < 0.3 ? `s${j}?` : `s${j}`);
    steps.push({
      name: `s${i}`,
      after: after.slice(0, 6),
      ...(draw() < 0.1 ? { allowFailure: true } : {}),
      retry: { maxAttempts: Math.floor(draw() * 5), retryable: draw() > 0.1 },
    });
  }
  return graph(name, steps, o);
}
