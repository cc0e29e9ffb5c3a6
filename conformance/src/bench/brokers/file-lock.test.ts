import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { withFileLock } from './file-lock.ts'
import { stateDirectory } from './state-directory.ts'

const name = `test-${process.pid}`
const path = join(stateDirectory(), `${name}.lock`)

afterAll(() => rmSync(path, { force: true }))

describe('withFileLock', () => {
  it('lets one action run at a time', async () => {
    let running = 0
    const seen: number[] = []
    const action = async () => {
      seen.push(++running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running -= 1
    }
    await Promise.all([withFileLock(name, action), withFileLock(name, action), withFileLock(name, action)])
    expect(seen).toEqual([1, 1, 1])
  })

  it('gives the lock back when the action fails', async () => {
    await expect(withFileLock(name, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await expect(withFileLock(name, async () => 'yes')).resolves.toBe('yes')
  })

  it('takes over the lock of a process that died', async () => {
    writeFileSync(path, '4194304-1')
    await expect(withFileLock(name, async () => 'mine')).resolves.toBe('mine')
  })
})
