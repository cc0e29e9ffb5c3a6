import { type Clock, systemClock } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { firstToAnswer } from './first-to-answer.ts'

const never = new AbortController().signal

/** Runs out of patience at once. */
const hasty: Clock = {
  ...systemClock,
  after: (_, run) => {
    const soon = setImmediate(run)
    return () => clearImmediate(soon)
  },
}

function attempt(hosts: readonly string[], signal = never) {
  const tried: string[] = []
  const given: string[] = []
  const result = firstToAnswer({
    hosts,
    clock: hasty,
    connect: (host, stop) => {
      tried.push(host)
      if (host === 'hangs') {
        return new Promise((_, reject) => {
          stop.addEventListener('abort', () => {
            given.push(host)
            reject(new Error('aborted'))
          })
        })
      }
      return host === 'good' ? Promise.resolve(host) : Promise.reject(new Error(host))
    },
    isFinal: (error) => error instanceof Error && error.message === 'final',
    discard: () => undefined,
    signal,
  })
  return { result, tried, given }
}

test('goes on to the next host at once when one fails', async () => {
  const { result, tried } = attempt(['bad', 'worse', 'good', 'never tried'])
  expect(await result).toBe('good')
  expect(tried).toEqual(['bad', 'worse', 'good'])
})

test('does not wait for a host that hangs, and lets it go when another answers', async () => {
  const { result, given } = attempt(['hangs', 'good'])
  expect(await result).toBe('good')
  expect(given).toEqual(['hangs'])
})

test('fails with the last error, or at once with a final one', async () => {
  await expect(attempt(['bad', 'worse']).result).rejects.toThrow('worse')
  const final = attempt(['final', 'good'])
  await expect(final.result).rejects.toThrow('final')
  expect(final.tried).toEqual(['final'])
})

test('ends with its signal', async () => {
  const controller = new AbortController()
  const { result } = attempt(['hangs', 'hangs'], controller.signal)
  controller.abort()
  await expect(result).rejects.toThrow('aborted')
})
