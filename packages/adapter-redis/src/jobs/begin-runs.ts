import type { Lease, NamedToSend } from '@waybill/jobs'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { asUtf8 } from '../wire/reply.ts'
import { type JobKeys, kindOf, priorities } from './job-keys.ts'
import { fromRevised, type StoredJob, storedJob, textFields } from './stored-job.ts'

export interface BeginRuns extends Lease {
  readonly of: NamedToSend
  readonly limit: number
  readonly now: number
  /** Of the jobs from then on. */
  readonly revision: string
}

export interface BegunRuns {
  readonly jobs: readonly StoredJob[]
  /** They are as large as one answer may be, so there may be more. */
  readonly isCut: boolean
}

/** Begins runs of jobs that are due, in one step. Undefined: jobs of other names are in between, and nothing was done. */
export async function beginRuns(
  connection: SharedConnection,
  keys: JobKeys,
  { of: { queue, names, isSent }, limit, owner, leaseMs, now, revision }: BeginRuns,
): Promise<BegunRuns | undefined> {
  const kinds = names.map((name) => kindOf({ queue, name }))
  const ofKinds = (index: Parameters<JobKeys['ofKind']>[1]) => kinds.map((kind) => keys.ofKind(kind, index))
  const leaseUntil = now + leaseMs
  const { fields, values } = await connection.run('jobBegin', {
    keys: {
      heads: keys.heads,
      texts: keys.texts,
      owners: keys.owners,
      leases: keys.leases,
      queued: priorities.map((priority) => keys.toSend(queue, isSent, priority)),
      waiting: ofKinds('waiting'),
      delayed: ofKinds('delayed'),
      due: ofKinds('due'),
      active: ofKinds('active'),
      changed: ofKinds('changed'),
    },
    args: { names, limit, now, leaseUntil, owner, revision },
  })
  if (fields.isMixed === true) return undefined
  const jobs: StoredJob[] = []
  for (let at = 0; at < values.length; at += 1 + textFields.length) {
    const [head = '', ...texts] = values.slice(at, at + 1 + textFields.length).map(asUtf8)
    const known = texts.map((text) => (text === '' ? undefined : text))
    jobs.push(storedJob(fromRevised(head), known, String(leaseUntil)))
  }
  return { jobs, isCut: fields.isCut === true }
}
