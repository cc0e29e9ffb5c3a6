import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { identifyProcess, isProcessAlive, ownIdentity, pidOf } from './process-identity.ts'

describe('process identity', () => {
  it('is alive for this process', () => {
    expect(isProcessAlive(ownIdentity())).toBe(true)
    expect(pidOf(ownIdentity())).toBe(process.pid)
  })

  it('is dead once the process has ended', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' })
    const identity = identifyProcess(child.pid ?? 0) ?? ''
    expect(isProcessAlive(identity)).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(isProcessAlive(identity)).toBe(false)
  })

  it.runIf(process.platform === 'linux')('is not mistaken for a later process with the same pid', () => {
    expect(isProcessAlive(`${process.pid}-1`)).toBe(false)
  })

  it('is never alive when it names nobody', () => {
    expect(isProcessAlive('')).toBe(false)
    expect(isProcessAlive('0')).toBe(false)
  })
})
