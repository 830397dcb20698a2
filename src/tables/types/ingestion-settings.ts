/** Settings of FileIngestionTask. */
import { folderProblem, localPath, NOT_LOCAL } from './local-folder.ts';
import { type FileOptions, INPUT_FORMATS } from './file-source.ts';
import { showValue } from '../../core/show-value.ts';
import { filePattern } from './file-pattern.ts';
import { SettingReader, type Settings } from './setting-reader.ts';

export interface IngestionSettings {
  folder: string;
  include: string;
  exclude: string | null;
  file: FileOptions;
  /** sync: the table mirrors the folder. append: files that are new are added. */
  mode: 'sync' | 'append';
  /** batch: the files of one batch become visible together or not at all. swap: those of the whole plan do, in place of all there was. */
  consistency: 'file' | 'batch' | 'swap';
  /** Subtasks of one batch. */
  batchSize: number;
  /** Small files that one subtask makes into one segment. */
  filesPerTask: number;
  maxAttempts: number;
  maxRowsPerSegment: number;
  minAgeMs: number;
  /** A folder without files empties a table that mirrors it. */
  mayEmpty: boolean;
}

/** `roots`: folders below which files may be read; null: all. */
export function ingestionSettings(settings: Settings, roots: readonly string[] | null): { settings: IngestionSettings; problems: string[] } {
  const r = new SettingReader(settings);
  const uri = r.required('inputDirURI', 'the folder to read from');
  const folder = uri === '' ? '' : localPath(uri);
  if (folder === null) r.refuse(`inputDirURI ${NOT_LOCAL}, not ${JSON.stringify(uri)}`);
  else if (uri !== '') {
    const problem = folderProblem('inputDirURI', folder, roots);
    if (problem !== null) r.refuse(problem);
  }
  const pattern = (key: string): string | null => {
    const value = r.text(key) ?? null;
    if (value === null) return null;
    try {
      filePattern(value);
    } catch (e) {
      r.refuse(`${key} is no pattern such as "*.csv" or "2026/**/*.json": ${showValue(value)}: ${(e as Error).message}`);
    }
    return value;
  };
  const include = pattern('includeFileNamePattern') ?? '*';
  const exclude = pattern('excludeFileNamePattern');
  const delimiter = r.text('csvDelimiter') ?? null;
  const delimiters: Record<string, string> = { tab: '\t', '\\t': '\t', comma: ',', semicolon: ';', pipe: '|' };
  const oneDelimiter = delimiter === null ? null : (delimiters[delimiter.toLowerCase()] ?? delimiter);
  if (oneDelimiter !== null && (oneDelimiter.length !== 1 || oneDelimiter === '"'))
    r.refuse(`csvDelimiter must be one character, or the word tab, not ${JSON.stringify(delimiter)}`);
  const swap = r.flag('consistentPushSwapEnabled');
  const batch = r.flag('consistentPushEnabled');
  const retries = r.text('consistentPushMaxRetries');
  const attempts = r.whole('maxAttemptsPerFile', 3, 1, 100);
  const repeats = r.whole('consistentPushMaxRetries', attempts - 1, 0, 99);
  // Of StarTree's own keys; what is left of a swap that did not come to its end is cleared in any case.
  r.flag('clearConsistentPushState');
  const result: IngestionSettings = {
    folder: folder ?? '',
    include,
    exclude,
    file: {
      format: r.choice('inputFormat', INPUT_FORMATS, 'auto'),
      delimiter: oneDelimiter,
      header: r.flag('csvHeader', true),
      timestampFormat: r.text('timestampFormat') ?? null,
      dateFormat: r.text('dateFormat') ?? null,
    },
    mode: r.choice('mode', ['sync', 'append'], 'append'),
    consistency: swap ? 'swap' : batch ? 'batch' : 'file',
    batchSize: r.batchSize(),
    filesPerTask: r.whole('filesPerTask', 1, 1, 100),
    maxAttempts: settings.maxAttemptsPerFile === undefined && retries !== undefined ? repeats + 1 : attempts,
    maxRowsPerSegment: r.whole('maxRowsPerSegment', 5_000_000, 1, 1_000_000_000),
    minAgeMs: r.whole('minFileAgeSeconds', 0, 0, 86_400 * 365) * 1000,
    mayEmpty: r.flag('syncEmptyFolder'),
  };
  if (result.filesPerTask > 1 && result.mode === 'sync' && !swap)
    r.refuse('filesPerTask must be 1 where mode is sync: a file that changes or goes could not be taken out of a segment that others share');
  r.refuseMisspelt();
  return { settings: result, problems: r.problems };
}
