/**
 * Functions that a condition of a caller may use. Conditions are evaluated in the process of the engine, where DuckDB's own limit of memory does
 * not hold what one value takes: so these are functions whose value is no longer than what they are given, however often they are nested.
 * Those that repeat, pad, replace, join, encode or build lists are not, nor those that wait or tell of the process.
 */

const OPERATORS = ['+', '-', '*', '/', '//', '%', '**', '^', '&', '|', '~', '<<', '>>', '||', '^@', '@', '!', '!__postfix', '->>', '@>', '<@', '&&'];
const PATTERNS = ['~~', '!~~', '~~*', '!~~*', '~~~', 'like_escape', 'not_like_escape', 'ilike_escape', 'not_ilike_escape'];
const REGULAR = ['regexp_matches', 'regexp_full_match', 'regexp_extract'];
const TEXTS =
  'lower lcase upper ucase length len char_length character_length strlen octet_length bit_length trim ltrim rtrim left right substring substr ' +
  'reverse contains starts_with ends_with prefix suffix position strpos instr concat split_part ascii ord unicode strip_accents nfc_normalize ' +
  'translate md5 sha1 sha256 hash';
const NUMBERS =
  'abs sign signbit round round_even trunc floor ceil ceiling sqrt cbrt exp ln log log2 log10 pow power mod fmod fdiv add subtract multiply divide greatest least ' +
  'isnan isinf isfinite even xor bit_count pi';
const TIMES =
  'now today get_current_time get_current_timestamp current_date current_localtime current_localtimestamp transaction_timestamp age date_part datepart date_diff datediff date_sub datesub date_trunc ' +
  'datetrunc date_add time_bucket epoch epoch_ms epoch_us epoch_ns year month day hour minute second millisecond microsecond quarter week weekday isodow ' +
  'isoyear yearweek weekofyear dayofweek dayofmonth dayofyear decade century millennium era dayname monthname last_day make_date make_time ' +
  'make_timestamp make_timestamp_ms make_timestamptz to_timestamp to_years to_quarters to_months to_weeks to_days to_hours to_minutes to_seconds ' +
  'to_milliseconds to_microseconds strftime strptime try_strptime timezone';
const VALUES =
  'coalesce ifnull nullif if typeof list_contains list_has array_contains array_has list_has_any list_has_all array_has_any array_has_all list_position ' +
  'array_position array_length list_extract list_element array_extract json_extract json_extract_string json_extract_path json_extract_path_text ' +
  'json_value json_exists json_contains json_type json_array_length json_valid';

export const CONDITION_FUNCTIONS: ReadonlySet<string> = new Set([
  ...OPERATORS,
  ...PATTERNS,
  ...REGULAR,
  ...[TEXTS, NUMBERS, TIMES, VALUES].flatMap((names) => names.split(' ')),
]);
