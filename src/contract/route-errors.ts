/** Errors that routes of several subjects answer with. */
export const READ_TASK = ['INVALID_ID', 'NOT_FOUND'] as const;
/** What is wrong with a body of JSON. */
export const BODY_ERRORS = ['INVALID_INPUT', 'INVALID_JSON', 'UNSTORABLE_VALUE', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const;
export const VERB_ERRORS = ['ILLEGAL_STATE', 'BACKPRESSURE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'] as const;
export const RESET_ERRORS = [...READ_TASK, ...VERB_ERRORS] as const;
