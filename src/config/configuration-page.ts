/** docs/configuration.md, from the schema. */
import { ALIASES, type Field, KEYS, OTHER_VARIABLES, SCHEMA } from './schema.ts';

const rangeOf = (field: Field): string => {
  switch (field.type) {
    case 'boolean':
      return 'true, false';
    case 'integer':
    case 'number':
      return `${field.min} to ${field.max}`;
    case 'choice':
      return field.values.join(', ');
    case 'list':
    case 'string':
      return field.range ?? '';
    default: {
      const never: never = field;
      return never;
    }
  }
};

const typeOf = (field: Field): string => (field.type === 'list' ? 'list of strings' : field.type === 'choice' ? 'string' : field.type);
const code = (text: string): string => `\`${text}\``;
const row = (cells: readonly string[]): string => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;

const INTRO = `# Configuration

<!-- Generated from src/config/schema.ts by scripts/generate-docs.ts. Run \`npm run docs\` after a change there. -->

Where a value comes from; a later layer wins, key by key:

1. the defaults below;
2. \`config/tutti/base/orchestration.toml\`, in the working directory, where it exists;
3. \`config/tutti/environments/<TUTTI_ENV>/orchestration.toml\`, where it exists (\`TUTTI_ENV\` defaults to \`development\`);
4. the file named by \`--config FILE\`, which must exist;
5. \`TUTTI_*\` variables;
6. flags of the command line (\`--host\`, \`--port\`, \`--store\`, \`--slots\`).

\`tutti config show\` prints every key with its value and the layer it came from; API keys are masked.

An unknown key, section or \`TUTTI_*\` variable, a wrong type and a value out of range stop the process before it does anything, with
the file or variable, the key, and the nearest name that exists. In a variable, a list is separated by commas, and a boolean is one of
true, false, 1, 0, yes, no, on, off.

Schedules are no keys but a list, \`[[orchestration.schedules]]\`, whose entries a later file replaces by their \`key\`: see
[schedules.md](schedules.md#declared-schedules).

**One deliberate difference.** \`web.host\` defaults to \`127.0.0.1\`, where the configuration that this layout comes from says
\`0.0.0.0\`: a server that a stranger starts should not be open to the network. To serve others set the host and at least one API key;
another host without a key is refused at start.
`;

export const configurationPage = (): string => {
  const out: string[] = [INTRO];
  for (const section of Object.keys(SCHEMA)) {
    out.push(
      `## [orchestration.${section}]\n`,
      row(['Key', 'Type', 'Default', 'Range', 'Variable', 'Meaning']),
      row(['---', '---', '---', '---', '---', '---']),
    );
    for (const key of KEYS.filter((k) => k.section === section)) {
      out.push(row([code(key.name), typeOf(key.field), code(JSON.stringify(key.field.default)), rangeOf(key.field), code(key.variable), key.field.meaning]));
    }
    out.push('');
  }
  out.push(
    '## Other names of keys\n',
    'Accepted at the top of a file (as one quoted key, or as nested tables), and as variables. `[plans]` and `[plans.resources]` may stand there as',
    'well, and `[orchestration.plans.resources]` holds the three limits. A key that is given under two names in one file, or in two variables, is an error.\n',
    row(['Name', 'Key']),
    row(['---', '---']),
  );
  for (const a of ALIASES) out.push(row([code(a.name), code(a.path)]));
  out.push('');
  out.push('## Other variables\n', row(['Variable', 'Meaning']), row(['---', '---']));
  for (const o of OTHER_VARIABLES) out.push(row([code(o.name), o.meaning]));
  return `${out.join('\n')}\n`;
};
