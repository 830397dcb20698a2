import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  absentSteps,
  type BranchShape,
  type Choice,
  chooseBranches,
  dropBranches,
  initialSteps,
  openBatch,
  openEdge,
  parseDecision,
  reopenBranches,
} from '../../src/core/branches.ts';
import { type BatchConfig, DEFAULT_BATCH, type StepType } from '../../src/core/definition.ts';
import { Absent, isAbsent, isStepSuccessful, isStepTerminal, Step } from '../../src/core/step-states.ts';
import { SeededRandom } from '../support/seeded-random.ts';

type Sketch = [name: string, deps: string, type?: StepType, more?: { branches?: Record<string, string[]>; batch?: BatchConfig }];

/** Dependencies are names with spaces between; a question mark makes one optional. */
function shapeOf(steps: readonly Sketch[]): BranchShape & { initial: boolean[] } {
  const names = steps.map(([name]) => name);
  const numberOf = new Map(names.map((name, no) => [name, no]));
  const deps: number[][] = steps.map(([, list]) =>
    list
      .split(' ')
      .filter((d) => d !== '')
      .map((d) => (numberOf.get(d.replace('?', '')) as number) * 2 + (d.endsWith('?') ? 0 : 1)),
  );
  const outs: number[][] = steps.map(() => []);
  for (const [no, list] of deps.entries()) for (const e of list) outs[e >> 1].push(no * 2 + (e & 1));
  const types = steps.map(([, , type]) => type ?? 'standard');
  const size = steps.length;
  const initial = initialSteps({ size, types, deps, outs });
  return { size, names, types, deps, outs, numberOf, initial, branches: (no) => steps[no][3]?.branches, batch: (no) => steps[no][3]?.batch };
}

/** A task in small: states by number, told by name. */
class Fixture {
  readonly shape: BranchShape & { initial: boolean[] };
  readonly state: number[];
  constructor(...steps: Sketch[] | [Sketch[]]) {
    this.shape = shapeOf(typeof steps[0][0] === 'string' ? (steps as Sketch[]) : (steps[0] as Sketch[]));
    this.state = this.shape.initial.map((exists) => (exists ? Step.pending : Absent.undecided));
  }
  no(name: string): number {
    return this.shape.numberOf.get(name) as number;
  }
  at = (no: number): number => this.state[no];
  end(names: string, state: number = Step.complete): void {
    for (const name of names.split(' ')) this.state[this.no(name)] = state;
  }
  apply(choice: Choice): { create: string; notTaken: string } {
    for (const no of choice.create) this.state[no] = Step.pending;
    for (const no of choice.notTaken) this.state[no] = Absent.notTaken;
    return { create: this.spell(choice.create), notTaken: this.spell(choice.notTaken) };
  }
  choose(decision: string, ...names: string[]): { create: string; notTaken: string } {
    const choice = chooseBranches(this.shape, this.at, this.no(decision), names);
    assert.ok(!('error' in choice), JSON.stringify(choice));
    this.end(decision);
    return this.apply(choice);
  }
  error(decision: string, ...names: string[]): string {
    const choice = chooseBranches(this.shape, this.at, this.no(decision), names);
    return 'error' in choice ? choice.error : assert.fail('it was accepted');
  }
  drop(name: string): string {
    const notTaken = dropBranches(this.shape, this.at, this.no(name));
    this.end(name, Step.error);
    return this.apply({ create: [], notTaken }).notTaken;
  }
  spell = (nos: readonly number[]): string => nos.map((no) => this.shape.names[no]).join(' ');
  get existing(): string {
    return this.spell([...this.state.keys()].filter((no) => !isAbsent(this.state[no])));
  }
  get undecided(): string {
    return this.spell([...this.state.keys()].filter((no) => this.state[no] === Absent.undecided));
  }
  /** Dependencies that hold a step back. */
  open(name: string): string {
    return this.spell(this.shape.deps[this.no(name)].filter((e) => openEdge((e & 1) === 1, this.state[e >> 1])).map((e) => e >> 1));
  }
}

const approval = (): Fixture =>
  new Fixture(
    ['validate_request', ''],
    ['routing_decision', 'validate_request', 'decision'],
    ['auto_approve', 'routing_decision'],
    ['manager_approval', 'routing_decision'],
    ['finance_review', 'routing_decision'],
    ['finalize_approval', 'auto_approve manager_approval finance_review', 'deferred_convergence'],
  );
const batch: BatchConfig = { ...DEFAULT_BATCH, workerTemplate: 'process_csv' };
const csv = (): Fixture =>
  new Fixture(
    ['analyze_csv', '', 'batchable', { batch }],
    ['process_csv', 'analyze_csv', 'batch_worker'],
    ['aggregate', 'process_csv', 'deferred_convergence'],
  );

test('absent states: what is not taken is over and no success, what is undecided is neither', () => {
  assert.deepEqual([Absent.undecided, Absent.notTaken].map(isStepTerminal), [false, true]);
  assert.deepEqual([Absent.undecided, Absent.notTaken].map(isStepSuccessful), [false, false]);
  assert.deepEqual([Step.pending, Step.resolvedManually, Absent.undecided, Absent.notTaken].map(isAbsent), [false, false, true, true]);
  assert.deepEqual(
    [Step.complete, Step.error, Absent.undecided, Absent.notTaken].map((s) => [openEdge(true, s), openEdge(false, s)]),
    [
      [false, false],
      [true, false],
      [true, true],
      [false, false],
    ],
  );
});

describe('decisions', () => {
  test('row 28: approval_routing begins with exactly two steps', () => {
    assert.equal(approval().existing, 'validate_request routing_decision');
  });

  test('row 29: amount 500 takes auto_approve and finalize_approval, in all four steps', () => {
    const f = approval();
    f.end('validate_request');
    assert.deepEqual(f.choose('routing_decision', 'auto_approve'), { create: 'auto_approve finalize_approval', notTaken: 'manager_approval finance_review' });
    assert.equal(f.existing.split(' ').length, 4);
    assert.equal(f.open('auto_approve'), '');
  });

  test('row 31: amount 10000 takes manager and finance, and finalize waits for both', () => {
    const f = approval();
    f.choose('routing_decision', 'manager_approval', 'finance_review');
    assert.equal(f.existing.split(' ').length, 5);
    assert.equal(f.open('finalize_approval'), 'manager_approval finance_review');
    f.end('finance_review');
    assert.equal(f.open('finalize_approval'), 'manager_approval');
  });

  test('row 32: a decision for no branches creates nothing, and nothing stays undecided', () => {
    const f = approval();
    assert.deepEqual(f.choose('routing_decision'), { create: '', notTaken: 'auto_approve manager_approval finance_review finalize_approval' });
  });

  test('row 34: a decision that names two steps creates both, and the convergence', () => {
    assert.equal(approval().choose('routing_decision', 'auto_approve', 'manager_approval').create, 'auto_approve manager_approval finalize_approval');
  });

  test('row 35: a convergence of three of which one is chosen waits for that one', () => {
    const f = approval();
    f.choose('routing_decision', 'auto_approve');
    assert.equal(f.open('finalize_approval'), 'auto_approve');
    f.end('auto_approve');
    assert.equal(f.open('finalize_approval'), '');
  });

  test('a branch is named by its own name, with all its steps', () => {
    const f = new Fixture(
      ['route', '', 'decision', { branches: { big: ['check', 'sign'], small: ['stamp'], toString: ['stamp'] } }],
      ['check', 'route'],
      ['sign', 'check'],
      ['stamp', 'route'],
    );
    assert.deepEqual(f.choose('route', 'big'), { create: 'check sign', notTaken: 'stamp' });
  });

  test('what comes after a chosen step comes with it, what comes after another does not', () => {
    const f = new Fixture(
      ['route', '', 'decision'],
      ['other', ''],
      ['a', 'route other'],
      ['a2', 'a other'],
      ['b', 'route'],
      ['b2', 'b'],
      ['both', 'a2 b2'],
      ['perhaps', 'a2 b2?'],
      ['only', 'other b?'],
    );
    assert.deepEqual(f.choose('route', 'a'), { create: 'a a2 perhaps', notTaken: 'b b2 both only' });
    assert.equal(f.open('perhaps'), 'a2');
  });

  test('the same choice again changes nothing; one that says more adds to it', () => {
    const f = approval();
    f.choose('routing_decision', 'auto_approve');
    assert.deepEqual(f.choose('routing_decision', 'auto_approve'), { create: '', notTaken: '' });
    assert.deepEqual(f.choose('routing_decision', 'auto_approve', 'finance_review'), { create: 'finance_review', notTaken: '' });
  });

  test('errors: a stranger, no descendant, a batch worker, more than a hundred', () => {
    const f = new Fixture(
      ['first', ''],
      ['route', 'first', 'decision'],
      ['split', 'route', 'batchable', { batch }],
      ['process_csv', 'split', 'batch_worker'],
      ...Array.from({ length: 101 }, (_, i): Sketch => [`s${i}`, 'route']),
    );
    assert.match(f.error('route', 'nobody'), /"nobody", which is neither a branch nor a step/);
    assert.match(f.error('route', 's1', 'first'), /"first", which does not depend on this decision/);
    assert.match(f.error('route', 'route'), /does not depend/);
    assert.match(f.error('route', 'constructor'), /neither/);
    assert.match(f.error('route', 'process_csv'), /batchable/);
    assert.match(f.error('route', ...Array.from({ length: 101 }, (_, i) => `s${i}`)), /more than 100/);
    assert.equal(f.choose('route', ...Array.from({ length: 100 }, (_, i) => `s${i}`), 's0').create.split(' ').length, 100);
  });

  test('a nested decision that is chosen keeps what is below it undecided, one that is not takes it along', () => {
    const nested = (): Fixture =>
      new Fixture(
        ['outer', '', 'decision'],
        ['inner', 'outer', 'decision'],
        ['x', 'inner'],
        ['y', 'inner'],
        ['z', 'outer'],
        ['end', 'x y z', 'deferred_convergence'],
        ['after', 'end'],
      );
    const f = nested();
    assert.deepEqual(f.choose('outer', 'inner', 'z'), { create: 'inner z end after', notTaken: '' });
    assert.deepEqual([f.undecided, f.open('end')], ['x y', 'x y z']);
    assert.deepEqual(f.choose('inner', 'y'), { create: 'y', notTaken: 'x' });
    assert.equal(f.open('end'), 'y z');
    const g = nested();
    assert.deepEqual(g.choose('outer', 'z'), { create: 'z end after', notTaken: 'inner x y' });
    const h = nested();
    h.choose('outer', 'inner');
    assert.deepEqual(
      [h.existing, h.undecided],
      ['outer inner', 'x y z end after'].map((s) => s.replace(' z', '')),
    );
  });

  test('a branch step that also follows another branch step is the inner decision’s to choose', () => {
    const f = new Fixture(['outer', '', 'decision'], ['a', 'outer'], ['inner', 'a', 'decision'], ['p', 'a inner'], ['q', 'inner']);
    assert.equal(f.choose('outer', 'a').create, 'a inner');
    assert.deepEqual(f.choose('inner', 'q'), { create: 'q', notTaken: 'p' });
  });

  test('what two decisions join waits for both, whichever is first', () => {
    for (const order of [
      ['one', 'two'],
      ['two', 'one'],
    ]) {
      const f = new Fixture(
        ['one', '', 'decision'],
        ['two', '', 'decision'],
        ['one_a', 'one'],
        ['two_a', 'two'],
        ['both', 'one_a two_a'],
        ['any', 'one_a? two_a?'],
      );
      assert.deepEqual(f.choose(order[0], `${order[0]}_a`), { create: `${order[0]}_a any`, notTaken: '' });
      assert.deepEqual([f.undecided, f.open('any').split(' ').length], [`${order[1]}_a both`, 2]);
      assert.deepEqual(f.choose(order[1], `${order[1]}_a`), { create: `${order[1]}_a both`, notTaken: '' });
    }
  });

  test('a decision that fails or is cancelled leaves nothing undecided, but for what another can still choose', () => {
    const f = new Fixture(['one', '', 'decision'], ['two', '', 'decision'], ['a', 'one'], ['b', 'a two?'], ['c', 'a']);
    assert.equal(f.drop('one'), 'a c');
    assert.equal(f.undecided, 'b');
    assert.equal(f.choose('two', 'b').create, 'b');
    assert.equal(f.open('b'), '');
  });

  test('a decision that is reset has its branches undecided again', () => {
    const f = approval();
    f.drop('routing_decision');
    f.end('routing_decision', Step.pending);
    const again = reopenBranches(f.shape, f.at, f.no('routing_decision'));
    assert.equal(f.spell(again), 'auto_approve manager_approval finance_review finalize_approval');
    for (const no of again) f.state[no] = Absent.undecided;
    assert.equal(f.choose('routing_decision', 'auto_approve').create, 'auto_approve finalize_approval');
  });

  test('a reset of one decision does not bring back what only another, ended one could choose', () => {
    const f = new Fixture(['one', '', 'decision'], ['two', '', 'decision'], ['a', 'one'], ['b', 'two']);
    f.choose('two');
    f.drop('one');
    f.end('one', Step.pending);
    assert.equal(f.spell(reopenBranches(f.shape, f.at, f.no('one'))), 'a');
  });
});

describe('decision results', () => {
  const cases: [body: unknown, expected: string[] | RegExp][] = [
    [{ type: 'no_branches' }, []],
    [{ type: 'create_steps', step_names: ['a', 'b'] }, ['a', 'b']],
    [{ decision_point_outcome: { type: 'create_steps', step_names: ['a'] }, amount: 3 }, ['a']],
    [{ decision_point_outcome: { type: 'no_branches' } }, []],
    [{ type: 'create_steps', step_names: [] }, /at least one name/],
    [{ type: 'create_steps', step_names: 'a' }, /list/],
    [{ type: 'create_steps' }, /list/],
    [{ type: 'create_steps', step_names: ['a', 3] }, /step_names\[1\]/],
    [{ type: 'NoBranches' }, /a decision returns/],
    [{ decision_point_outcome: 'a' }, /a decision returns/],
    [['a'], /a decision returns/],
    ['a', /a decision returns/],
    [null, /a decision returns/],
    [{}, /a decision returns/],
  ];
  for (const [body, expected] of cases) {
    test(JSON.stringify(body), () => {
      const parsed = parseDecision(body);
      if (Array.isArray(expected)) assert.deepEqual(parsed, { names: expected });
      else assert.match('error' in parsed ? parsed.error : '', expected);
    });
  }
});

describe('batches', () => {
  test('a batch begins with its analyser, and what comes after it exists with its workers', () => {
    const f = csv();
    assert.equal(f.existing, 'analyze_csv');
    const opened = openBatch(f.shape, f.at, f.no('analyze_csv'));
    assert.equal(opened.worker, f.no('process_csv'));
    assert.deepEqual(f.apply(opened), { create: 'aggregate', notTaken: 'process_csv' });
    assert.equal(f.open('aggregate'), '');
  });

  test('row 43: opened again it changes nothing', () => {
    const f = csv();
    f.apply(openBatch(f.shape, f.at, f.no('analyze_csv')));
    f.end('analyze_csv');
    assert.deepEqual(f.apply(openBatch(f.shape, f.at, f.no('analyze_csv'))), { create: '', notTaken: '' });
  });

  test('an analyser that fails leaves no batch', () => {
    assert.equal(csv().drop('analyze_csv'), 'process_csv aggregate');
  });

  const combined = (): Fixture =>
    new Fixture(
      ['start', ''],
      ['left', 'start'],
      ['right', 'start'],
      ['route', 'left right', 'decision'],
      ['even_analyse', 'route', 'batchable', { batch: { ...batch, workerTemplate: 'even_worker' } }],
      ['even_worker', 'even_analyse', 'batch_worker'],
      ['odd_analyse', 'route', 'batchable', { batch: { ...batch, workerTemplate: 'odd_worker' } }],
      ['odd_worker', 'odd_analyse', 'batch_worker'],
      ['aggregate', 'even_worker odd_worker', 'deferred_convergence'],
      ['report', 'aggregate'],
    );

  test('row 50: the combined workflow begins with four steps, and its decision waits for two', () => {
    const f = combined();
    assert.equal(f.existing, 'start left right route');
    assert.equal(f.open('route'), 'left right');
  });

  test('row 47: the even path only; no odd step exists', () => {
    const f = combined();
    assert.deepEqual(f.choose('route', 'even_analyse'), { create: 'even_analyse', notTaken: 'odd_analyse odd_worker' });
    assert.equal(f.undecided, 'even_worker aggregate report');
    assert.deepEqual(f.apply(openBatch(f.shape, f.at, f.no('even_analyse'))), { create: 'aggregate report', notTaken: 'even_worker' });
    assert.equal(f.open('aggregate'), '');
  });

  test('both paths: the aggregate exists with the first and waits for the second', () => {
    const f = combined();
    f.choose('route', 'even_analyse', 'odd_analyse');
    f.apply(openBatch(f.shape, f.at, f.no('odd_analyse')));
    assert.equal(f.open('aggregate'), 'even_worker');
    assert.equal(f.drop('even_analyse'), 'even_worker');
    assert.equal(f.open('aggregate'), '');
  });
});

/** Random graph of standard steps, decisions, batches and convergences of what these choose. */
function randomShape(random: SeededRandom): BranchShape & { initial: boolean[] } {
  const steps: Sketch[] = [];
  const size = random.int(3, 16);
  for (let no = 0; no < size; no++) {
    const earlier = steps.filter(([, , type]) => type !== 'batch_worker').map(([name]) => name);
    const deps = earlier.filter(() => random.chance(Math.min(0.7, 2 / earlier.length))).map((name) => name + (random.chance(0.3) ? '?' : ''));
    const worker = steps.findLast(([, , type]) => type === 'batch_worker')?.[0];
    const kind = random.int(0, 9);
    if (kind < 3) steps.push([`s${no}`, deps.join(' '), 'decision']);
    else if (kind < 4) {
      steps.push([`s${no}`, deps.join(' '), 'batchable', { batch: { ...batch, workerTemplate: `w${no}` } }]);
      steps.push([`w${no}`, `s${no}`, 'batch_worker']);
    } else if (kind < 6 && (deps.length > 0 || worker !== undefined)) {
      steps.push([`s${no}`, [...deps, ...(worker === undefined || random.chance(0.3) ? [] : [worker])].join(' '), 'deferred_convergence']);
    } else steps.push([`s${no}`, deps.join(' ')]);
  }
  for (let no = 0; no < steps.length; no++) {
    // A convergence that nothing could bring about is no valid one.
    const shape = shapeOf(steps);
    const chosen = shape.deps[no].some((e) => !shape.initial[e >> 1]);
    if (shape.types[no] === 'deferred_convergence' && !chosen) steps[no][2] = 'standard';
  }
  return shapeOf(steps);
}

/** The rules word by word, over the whole graph, again and again until nothing changes. */
function naive(shape: BranchShape & { initial: boolean[] }, state: readonly number[], named: ReadonlySet<number>, opened: ReadonlySet<number>): number[] {
  const exists = shape.initial.map((initial, no) => initial || named.has(no));
  for (let changed = true; changed; ) {
    changed = false;
    for (let no = 0; no < shape.size; no++) {
      if (exists[no] || shape.types[no] === 'batch_worker') continue;
      const deps = shape.deps[no];
      const chosen = deps.some((e) => (exists[e >> 1] && !shape.initial[e >> 1]) || opened.has(e >> 1));
      const ordinary = deps.every((e) => shape.types[e >> 1] !== 'decision' && (exists[e >> 1] || (e & 1) === 0));
      if (chosen && (shape.types[no] === 'deferred_convergence' || ordinary)) {
        exists[no] = true;
        changed = true;
      }
    }
  }
  const hopeful = shape.initial.map(() => false);
  const alive = (no: number): boolean => (exists[no] ? !isStepTerminal(state[no]) : hopeful[no]);
  for (let changed = true; changed; ) {
    changed = false;
    for (let no = 0; no < shape.size; no++) {
      if (hopeful[no]) continue;
      const deps = shape.deps[no].map((e) => e >> 1);
      hopeful[no] =
        shape.types[no] === 'batch_worker'
          ? deps.some((dep) => alive(dep))
          : deps.some((dep) => hopeful[dep] || (shape.types[dep] === 'decision' && alive(dep)));
      changed ||= hopeful[no];
    }
  }
  return exists.map((there, no) => (there ? (isAbsent(state[no]) ? Step.pending : state[no]) : hopeful[no] ? Absent.undecided : Absent.notTaken));
}

test('whatever happens in whatever order: as the naive rules say, as loading finds it, and nothing undecided is left at the end', () => {
  for (let seed = 1; seed <= 4000; seed++) {
    const random = new SeededRandom(seed);
    const shape = randomShape(random);
    const state: number[] = shape.initial.map((exists) => (exists ? Step.pending : Absent.undecided));
    const named = new Set<number>();
    const opened = new Set<number>();
    const at = (no: number): number => state[no];
    const apply = (c: { create?: number[]; notTaken: number[] }): void => {
      for (const no of c.create ?? []) state[no] = Step.pending;
      for (const no of c.notTaken) state[no] = Absent.notTaken;
    };
    const below = (no: number): Set<number> => {
      const found = new Set<number>([no]);
      for (const step of found) for (const e of shape.outs[step]) found.add(e >> 1);
      found.delete(no);
      return found;
    };
    for (;;) {
      const live = [...state.keys()].filter((no) => !isAbsent(state[no]) && !isStepTerminal(state[no]));
      if (live.length === 0) break;
      const ready = live.filter((no) => shape.deps[no].every((e) => !openEdge((e & 1) === 1, state[e >> 1])));
      // Now and then a step ends before its time: cancelled, or completed by hand.
      const no = ready.length > 0 && random.chance(0.85) ? random.pick(ready) : random.pick(live);
      const type = shape.types[no];
      if (random.chance(0.25)) {
        if (type === 'decision' || type === 'batchable') apply({ notTaken: dropBranches(shape, at, no) });
        state[no] = Step.error;
      } else if (type === 'decision') {
        const names = [...below(no)].filter((s) => shape.types[s] !== 'batch_worker' && random.chance(0.3));
        const choice = chooseBranches(
          shape,
          at,
          no,
          names.map((s) => shape.names[s]),
        );
        assert.ok(!('error' in choice));
        for (const s of names) named.add(s);
        apply(choice);
        state[no] = Step.complete;
      } else if (type === 'batchable') {
        const choice = openBatch(shape, at, no);
        opened.add(choice.worker);
        apply(choice);
        state[no] = Step.complete;
      } else state[no] = Step.complete;
      assert.deepEqual(state, naive(shape, state, named, opened), `seed ${seed}, after ${shape.names[no]}`);
      const rows = (s: number): number | undefined => (isAbsent(state[s]) ? undefined : state[s]);
      const loaded = absentSteps(shape, rows);
      assert.deepEqual(
        state,
        state.map((s, i) => rows(i) ?? loaded.get(i)),
        `seed ${seed}, loaded`,
      );
      assert.ok(state.every((s) => s >= 0));
    }
    assert.ok(!state.includes(Absent.undecided), `seed ${seed}: undecided at the end`);
  }
});

test('a choice costs what lies below it, not what the graph holds', () => {
  const steps = Array.from({ length: 50_000 }, (_, i): Sketch => [`s${i}`, i === 0 ? '' : `s${i - 1}`]);
  steps.push(['route', 's49999', 'decision'], ['a', 'route s5'], ['b', 'route'], ['end', 'a b', 'deferred_convergence']);
  const f = new Fixture(steps);
  let asked = 0;
  const counted = <T extends object>(list: T): T => new Proxy(list, { get: (t, key) => (asked++, Reflect.get(t, key) as unknown) });
  const shape = { ...f.shape, deps: counted(f.shape.deps), outs: counted(f.shape.outs) };
  const choice = chooseBranches(shape, (no) => (asked++, f.at(no)), f.no('route'), ['a']);
  assert.ok(!('error' in choice));
  assert.equal(f.apply(choice).create, 'a end');
  assert.ok(asked < 100, `${asked} steps were looked at`);
});
