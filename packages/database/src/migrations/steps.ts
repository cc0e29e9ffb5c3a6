import { marks } from './0001-marks.ts'
import { outbox } from './0002-outbox.ts'
import { sagas } from './0003-sagas.ts'
import { eventStore } from './0004-event-store.ts'
import { jobs } from './0005-jobs.ts'
import type { MigrationStep } from './migration.ts'

/** All of them, in their order. */
export const steps: readonly MigrationStep[] = [marks, outbox, sagas, eventStore, jobs]

/** The version of the schema that this code was written for. */
export const currentVersion = steps.length
