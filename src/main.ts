/** The public entry of the package: names, and next to nothing else. What they are made of lies beside this file, and below. */
import type { TuttiConfig } from './config.ts';
import type { Served, ServeOptions } from './serve.ts';

export type { TreeElement } from './core/tree-element.ts';
export type { Backoff, FailurePolicy, Json, JsonObject, TemplateDefinition } from './core/definition.ts';
export { ERRORS, type ErrorCode, isTuttiError, type StepError, TuttiError } from './core/errors.ts';
export type { EngineFacade, EngineHealth, EngineMetrics, InputValidator, TemplateRegistration, ValidationResult } from './engine/facade.ts';
export type { Plans, PlanView } from './engine/plan-views.ts';
export type { Caller, Resource, ResourceAction, ResourceChanges, ResourceItem, ResourceKind, Resources } from './engine/resource-port.ts';
export type {
  AuditView,
  EventFilter,
  EventPage,
  EventType,
  ExplainView,
  Gate,
  GlobalEvent,
  ListRequest,
  ListResult,
  StepStateName,
  StepView,
  SubmitRequest,
  TaskEvent,
  TaskOutcome,
  TaskStateName,
  TaskView,
  TemplateView,
} from './engine/views.ts';
export { type BatchContext, batches, type Batches, type Cursor, cursorsFor, none, noBatches, type NoBatches, type Route, route, to } from './sdk/branches.ts';
export type { Duration } from './sdk/duration.ts';
export { PermanentError, RetryableError } from './sdk/handler-errors.ts';
export type { AbortContext, AbortFunction, ChildResult, FinalizeContext, FinalizeFunction, HandlerMeta, HandlerSchema, StepHooks } from './sdk/handler-meta.ts';
export { handler, type HandlerCode, type HandlerDefinition } from './sdk/handler-registry.ts';
export type { Hooks, StepOutcome } from './sdk/hooks.ts';
export { PlanHandle } from './sdk/plans/plan-handle.ts';
export { defineResourceKind, type ResourceKindDefinition, type ResourceKindOptions } from './sdk/plans/resource-kind.ts';
export type { RunOptions, RunSettings, TaskPlans } from './sdk/plans/task-plans.ts';
export {
  type AnyTaskType,
  type BatchOutcome,
  defineTaskType,
  type EndAnswer,
  type FinishAnswer,
  type ItemChanges,
  type NextAnswer,
  type PlanContext,
  type StartAnswer,
  type Subtask,
  type SubtaskContext,
  type SubtaskOutcome,
  type TaskTypeDefinition,
} from './sdk/plans/task-type.ts';
export type { ScheduleOptions } from './sdk/schedules.ts';
export type { TableOptions } from './tables/table-options.ts';
export type { NewTable, QueryResult, SegmentPage, SegmentView, TableColumn, TableDetails, Tables, TableSchema, TableType, TableView } from './tables/tables.ts';
export type { ScheduleRequest } from './core/schedule.ts';
export type { ScheduleFacade, ScheduleView, TickView } from './engine/schedule-views.ts';
export type { BatchOptions, RetryOptions, StepOptions } from './sdk/step-options.ts';
export type {
  ChildRef,
  NotTaken,
  ProgressAmount,
  Settled,
  SpawnItem,
  SpawnOptions,
  StepContext,
  StepFunction,
  UntypedStepContext,
  YieldedCheckpoint,
  YieldPoint,
} from './sdk/step-types.ts';
export type { PlanOptions } from './sdk/plans/plan-options.ts';
export { TaskError } from './sdk/task-error.ts';
export { TaskHandle } from './sdk/task-handle.ts';
export { type AnyTemplate, type Submittable, template, type Template, type TemplateOptions, type UntypedTemplate } from './sdk/template.ts';
export { type LoadedTemplate, loadTemplateFile } from './sdk/template-file.ts';
export type { SubmitOptions } from './sdk/tutti.ts';
export { type OpenOptions, Tutti } from './open.ts';
export type { Logger } from './real-host.ts';
export type { Served, ServeOptions } from './serve.ts';

/**
 * The engine with its HTTP server, as configured (loadConfig of src/config.ts). Throws what `Tutti.open` throws, and INVALID_CONFIG
 * for an address that cannot or must not be listened on; then nothing stays open.
 */
export const serve = async (config: TuttiConfig, o: ServeOptions = {}): Promise<Served> => {
  // Only servers read configuration, log with pino and speak HTTP: an embedded engine starts without loading any of it.
  const { serve: start } = await import('./serve.ts');
  return start(config, o);
};
