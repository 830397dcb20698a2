import { TuttiError } from '../core/errors.ts';
import { NAMESPACE_NAME, NAMESPACE_RULE, SEMVER, TEMPLATE_NAME, TEMPLATE_NAME_RULE, VERSION_RULE } from '../core/template-rules.ts';

export interface TemplateRef {
  namespace: string;
  name: string;
  version: string;
}

/** Takes `namespace/name@version` apart. Throws INVALID_TEMPLATE; `field` is the part that is missing or wrong. */
export function parseTemplateId(id: string): TemplateRef {
  const ref = parseOpenTemplateId(id);
  if (ref.version === undefined) throw wrong(id, 'version', 'is missing: write namespace/name@version, such as orders/fulfilment@1.0.0');
  return ref as TemplateRef;
}

/** As parseTemplateId, for callers that may leave the version open: `namespace/name` means the highest registered release. */
export function parseOpenTemplateId(id: string): { namespace: string; name: string; version?: string } {
  if (typeof id !== 'string') throw wrong(String(id), 'id', 'must be text of the form namespace/name@version');
  const slash = id.indexOf('/');
  if (slash < 0) throw wrong(id, 'namespace', 'is missing: write namespace/name@version');
  const at = id.indexOf('@', slash);
  const namespace = id.slice(0, slash);
  const name = id.slice(slash + 1, at < 0 ? undefined : at);
  const version = at < 0 ? undefined : id.slice(at + 1);
  if (!NAMESPACE_NAME.test(namespace)) throw wrong(id, 'namespace', NAMESPACE_RULE);
  if (!TEMPLATE_NAME.test(name)) throw wrong(id, 'name', TEMPLATE_NAME_RULE);
  if (version !== undefined && !SEMVER.test(version)) throw wrong(id, 'version', VERSION_RULE);
  return version === undefined ? { namespace, name } : { namespace, name, version };
}

export const formatTemplateId = (ref: TemplateRef): string => `${ref.namespace}/${ref.name}@${ref.version}`;

const wrong = (id: string, part: string, rule: string): TuttiError =>
  new TuttiError('INVALID_TEMPLATE', `template id ${JSON.stringify(id.slice(0, 300))}: ${part} ${rule}`, { field: part });
