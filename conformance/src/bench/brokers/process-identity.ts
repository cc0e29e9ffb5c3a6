import { readFileSync } from 'node:fs'

/**
 * Names a process so that the name is not taken over by a later process with the same pid:
 * the pid and, on Linux, its start time (field 22 of `/proc/PID/stat`, proc(5)).
 * `undefined` when there is no such process.
 */
export function identifyProcess(pid: number): string | undefined {
  if (!exists(pid)) return undefined
  const startTime = readStartTime(pid)
  if (startTime === 'gone') return undefined
  return startTime === undefined ? String(pid) : `${pid}-${startTime}`
}

/** Whether the process that once had this identity still runs. */
export function isProcessAlive(identity: string): boolean {
  const pid = pidOf(identity)
  return pid !== undefined && identifyProcess(pid) === identity
}

/** The identity of this process. */
export function ownIdentity(): string {
  return identifyProcess(process.pid) ?? String(process.pid)
}

export function pidOf(identity: string): number | undefined {
  const pid = Number.parseInt(identity, 10)
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it is there, but belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function readStartTime(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    return state === 'Z' || state === 'X' ? 'gone' : fields[19]
  } catch {
    return 'gone'
  }
}
