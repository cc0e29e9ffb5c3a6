import { expect, test } from 'vitest'
import { compose } from './middleware.ts'

type Step = (context: string[], next: () => Promise<void>) => Promise<void>

const wrap =
  (name: string): Step =>
  async (context, next) => {
    context.push(`${name} before`)
    await next()
    context.push(`${name} after`)
  }

test('the first is the outermost', async () => {
  const log: string[] = []
  await compose([wrap('a'), wrap('b')], log, async () => {
    log.push('innermost')
  })
  expect(log).toEqual(['a before', 'b before', 'innermost', 'b after', 'a after'])
})

test('without middleware the innermost runs alone', async () => {
  const log: string[] = []
  await compose<string[]>([], log, async () => {
    log.push('innermost')
  })
  expect(log).toEqual(['innermost'])
})

test('one that does not call next keeps the rest from running', async () => {
  const log: string[] = []
  await compose<string[]>([async () => {}, wrap('b')], log, async () => {
    log.push('innermost')
  })
  expect(log).toEqual([])
})

test('an error goes outwards, and may be caught on the way', async () => {
  const failing = () => Promise.reject(new Error('no'))
  await expect(compose([wrap('a')], [], failing)).rejects.toThrow('no')
  const caught: unknown[] = []
  const catching: Step = async (_context, next) => {
    await next().catch((error: unknown) => caught.push(error))
  }
  await compose([catching, wrap('b')], [], failing)
  expect(caught).toEqual([new Error('no')])
})

test('a middleware that throws at once rejects like one that rejects', async () => {
  const throwing: Step = () => {
    throw new Error('at once')
  }
  await expect(compose([throwing], [], async () => {})).rejects.toThrow('at once')
})

test('calling next twice is an error', async () => {
  const twice: Step = async (_context, next) => {
    await next()
    await next()
  }
  await expect(compose([twice], [], async () => {})).rejects.toThrow(/next\(\) more than once/)
})
