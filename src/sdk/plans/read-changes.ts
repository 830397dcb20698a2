import type { Json } from '../../core/definition.ts';
import { showValue } from '../../core/show-value.ts';
import type { ResourceChanges } from '../../engine/resource-port.ts';
import { AnswerFields, isWhole, unusable } from './answer-fields.ts';
import type { Breather } from './breather.ts';

const MAX_CHANGES = 10_000;
const MAX_KEY = 500;

/** The changes of a resource's items that an answer carries. Bodies are copied: what a generator does to its objects later changes nothing. */
export async function readChanges(value: unknown, breather: Breather): Promise<ResourceChanges | undefined> {
  if (value === undefined) return undefined;
  const given = new AnswerFields(value, { at: 'changes', what: 'the changes of items', known: ['put', 'remove'] });
  const puts = given.list('put') ?? [];
  const removals = given.list('remove') ?? [];
  if (puts.length + removals.length > MAX_CHANGES)
    throw unusable('changes', `has ${puts.length + removals.length} puts and removals; the limit is ${MAX_CHANGES}`);
  const places = new Map<string, string>();
  const put: NonNullable<ResourceChanges['put']>[number][] = [];
  for (const [i, one] of puts.entries()) {
    const at = `changes.put[${i}]`;
    const item = new AnswerFields(one, { at, what: 'an item', known: ['key', 'body', 'expect'] });
    const key = keyOf(item, at, places);
    const body = item.json('body');
    if (body === undefined) throw unusable(`${at}.body`, 'is missing');
    await breather.after(body.length);
    const expect = item.get('expect');
    if (expect !== undefined && expect !== null && !isWhole(expect, 1, Number.MAX_SAFE_INTEGER))
      throw unusable(`${at}.expect`, `must be a version of 1 or more, or null, not ${showValue(expect)}`);
    put.push({ key, body: JSON.parse(body) as Json, ...(expect === undefined ? {} : { expect }) });
  }
  const remove = removals.map((one, i) => {
    const at = `changes.remove[${i}]`;
    const item = new AnswerFields(one, { at, what: 'a removal', known: ['key', 'expect'] });
    const key = keyOf(item, at, places);
    const expect = item.get('expect');
    if (expect !== undefined && !isWhole(expect, 1, Number.MAX_SAFE_INTEGER))
      throw unusable(`${at}.expect`, `must be a version of 1 or more, not ${showValue(expect)}`);
    return { key, ...(expect === undefined ? {} : { expect }) };
  });
  return { put, remove };
}

function keyOf(item: AnswerFields, at: string, places: Map<string, string>): string {
  const key = item.text('key', MAX_KEY);
  if (key === undefined) throw unusable(`${at}.key`, 'is missing');
  const other = places.get(key);
  if (other !== undefined) throw unusable(`${at}.key`, `is ${showValue(key)}, as is that of ${other}: an item is changed once`);
  places.set(key, at);
  return key;
}
