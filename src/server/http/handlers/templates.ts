/** /v1/templates: what tasks can be made of. */
import { templateSummaryToWire, templateToWire } from '../../../contract/to-wire.ts';
import { TuttiError } from '../../../core/errors.ts';
import type { Handlers } from '../call.ts';

export const templateHandlers: Handlers<'listTemplates' | 'listTemplateVersions' | 'getTemplate'> = {
  listTemplates({ engine, query }) {
    const templates = engine.templates(query.namespace === undefined ? undefined : { namespace: query.namespace }).map(templateSummaryToWire);
    return { namespaces: [...new Set(templates.map((t) => t.namespace))].sort(), templates, total_count: templates.length };
  },

  listTemplateVersions({ engine, params: { namespace, name } }) {
    const versions = engine
      .templates({ namespace })
      .filter((t) => t.name === name)
      .map(templateSummaryToWire);
    if (versions.length === 0) throw new TuttiError('TEMPLATE_NOT_FOUND', `no template ${namespace}/${name} is registered`, { field: 'name' });
    return { namespace, name, versions };
  },

  getTemplate({ engine, params }) {
    const template = engine.template(params);
    const { namespace, name, version } = params;
    if (!template) throw new TuttiError('TEMPLATE_NOT_FOUND', `no template ${namespace}/${name}@${version} is registered`, { field: 'version' });
    return templateToWire(template);
  },
};
