export { databaseJobStore } from './database/database-job-store.ts'
export {
  defineJob,
  type JobDefinition,
  type JobMessage,
  type JobOptions,
  type JobSettings,
  type RemoveAfter,
} from './definition.ts'
export { type FlowStep, type FlowStepOptions, flowStep, inSequence } from './flows/flow-step.ts'
export { type IsolatedOptions, isolated } from './isolating/isolated.ts'
export type { JobAttempt, JobError, JobLogLine, JobSnapshot, JobState } from './job.ts'
export { JobFailed } from './job-failed.ts'
export { Job } from './job-handle.ts'
export type { JobAddition, JobMiddleware, JobRun } from './job-middleware.ts'
export type { BulkItem } from './jobs/adding.ts'
export type { JobChange, RetryFilter } from './jobs/changing.ts'
export type { JobPage } from './jobs/reading.ts'
export { Jobs, openJobs } from './jobs.ts'
export type {
  AddOptions,
  Deduplicate,
  JobListFilter,
  JobListOptions,
  JobsOptions,
  SendLaterOptions,
} from './jobs-options.ts'
export { memoryJobStore } from './memory/memory-job-store.ts'
export type { ScheduleDetails, ScheduleRow, ScheduleSnapshot, StoredTimes } from './schedule.ts'
export type { ScheduleTimes } from './schedules/schedule-spec.ts'
export { Schedules } from './schedules/schedules.ts'
export type {
  JobCounts,
  JobCursor,
  JobDetails,
  JobFilter,
  JobKey,
  JobRow,
  JobRows,
  JobStore,
  Lease,
  NamedToSend,
  RowChange,
  StoredState,
  ToSend,
} from './store.ts'
export { statusHandler } from './watching/status-handler.ts'
export type { StatusHost, StatusOptions } from './watching/status-options.ts'
export { type StatusSocket, statusSocket } from './watching/status-socket.ts'
export type { JobEvent } from './watching/watching.ts'
export type { ChildResult, JobContext, JobHandler, RunningJob } from './working/job-context.ts'
export { JobWorker, type WorkerOptions } from './working/job-worker.ts'
