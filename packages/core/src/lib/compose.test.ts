import { describe, expect, test } from 'vitest'
import { compose } from './compose.ts'

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
  const reached = await compose<string[]>([async () => {}, wrap('b')], log, async () => {
    log.push('innermost')
  })
  expect([reached, log]).toEqual([false, []])
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

describe('one that does not wait for what it wraps', () => {
  const forgetting: Step = async (_context, next) => {
    void next()
  }

  test('is waited for, and fails with it', async () => {
    const { promise, reject } = Promise.withResolvers<void>()
    const composed = compose([forgetting], [], () => promise)
    reject(new Error('late'))
    await expect(composed).rejects.toThrow('late')
  })

  test('fails with what throws at once, too', async () => {
    const throwing = () => {
      throw new Error('at once')
    }
    await expect(compose([forgetting, wrap('b')], [], throwing)).rejects.toThrow('at once')
  })

  test('resolves once what it wraps has', async () => {
    const log: string[] = []
    const slow = async () => {
      await new Promise((resolve) => setImmediate(resolve))
      log.push('innermost')
    }
    expect(await compose([forgetting, wrap('b')], log, slow)).toBe(true)
    expect(log).toEqual(['b before', 'innermost', 'b after'])
  })

  test('may throw without waiting: then its error is what counts', async () => {
    const hurried: Step = async (_context, next) => {
      void next()
      throw new Error('no time')
    }
    await expect(compose([hurried], [], () => new Promise(() => {}))).rejects.toThrow('no time')
  })
})

test('calling next after the middleware has ended is an error', async () => {
  let late = async () => {}
  const keeping: Step = async (_context, next) => {
    late = next
  }
  expect(await compose([keeping], [], async () => {})).toBe(false)
  await expect(late()).rejects.toThrow(/after it had ended/)
})
