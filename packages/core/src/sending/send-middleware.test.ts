import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { MessagingError } from '../lib/errors.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { defineTopic } from '../messages/topic.ts'
import { type SendContext, type SendMiddleware, sendThrough } from './send-middleware.ts'

const definition = defineMessage(defineTopic('orders'), 'order.created', { schema: z.unknown() })
const stored: Message = {
  id: 'o-1',
  type: 'order.created',
  version: 1,
  timestamp: new Date(0),
  data: {},
  metadata: { source: 'test' },
}

/** Stores the message some turns later. */
const deliver = async () => {
  await settle()
  return stored
}

function through(middleware: readonly SendMiddleware[], last = deliver): Promise<Message> {
  const context: SendContext = { definition, cause: undefined, data: {}, options: {}, message: undefined }
  return sendThrough(middleware, context, last)
}

const passing: SendMiddleware = async (_context, next) => {
  await settle()
  await next()
}
const forgetting: SendMiddleware = async (_context, next) => {
  void next()
}

describe('a sender is told what became of the message', () => {
  test('when no middleware awaits next', async () => {
    expect(await through([forgetting])).toBe(stored)
    expect(await through([forgetting, passing])).toBe(stored)
    expect(await through([passing, forgetting, forgetting])).toBe(stored)
  })

  test('when it fails and no middleware awaits next', async () => {
    const error = new MessagingError('rejected', 'full', { fate: 'unknown' })
    const fail = async () => {
      await settle()
      throw error
    }
    await expect(through([forgetting, passing], fail)).rejects.toBe(error)
  })

  test('when middleware catches the error of next', async () => {
    const error = new MessagingError('rejected', 'full', { fate: 'unknown' })
    const catching: SendMiddleware = (_context, next) => next().catch(() => {})
    await expect(through([catching], () => Promise.reject(error))).rejects.toBe(error)
  })

  test('when middleware throws after the message was stored', async () => {
    const cause = new MessagingError('rejected', 'the audit is full', { fate: 'not-sent' })
    const throwing: SendMiddleware = async (_context, next) => {
      await next()
      throw cause
    }
    const careless: SendMiddleware = async (_context, next) => {
      void next()
      throw cause
    }
    for (const middleware of [throwing, careless]) {
      await expect(through([middleware])).rejects.toMatchObject({ code: 'failed', fate: 'unknown', cause })
    }
  })

  test('when middleware says "not sent" of what may have been sent', async () => {
    const error = new MessagingError('timeout', 'no answer', { fate: 'unknown' })
    const lying: SendMiddleware = async (_context, next) => {
      try {
        await next()
      } catch (cause) {
        throw new MessagingError('failed', 'mine', { cause, fate: 'not-sent' })
      }
    }
    await expect(through([lying], () => Promise.reject(error))).rejects.toBe(error)
  })
})

test('an error of inner middleware reaches the sender, though the outer one does not await it', async () => {
  const error = new Error('no tenant')
  const failing: SendMiddleware = async () => {
    await settle()
    throw error
  }
  const last = vi.fn(deliver)
  await expect(through([forgetting, failing], last)).rejects.toBe(error)
  expect(last).not.toHaveBeenCalled()
})

test('an error of middleware’s own takes the place of the failure', async () => {
  const mine = new Error('mine')
  const mapping: SendMiddleware = async (_context, next) => {
    await next().catch(() => {})
    throw mine
  }
  await expect(through([mapping], () => Promise.reject(new Error('theirs')))).rejects.toBe(mine)
})

test('next that is called twice, or after the end, sends nothing more', async () => {
  const last = vi.fn(deliver)
  const twice: SendMiddleware = async (_context, next) => {
    await next()
    await next()
  }
  await expect(through([twice], last)).rejects.toThrow(/was sent, but .* more than once/)
  expect(last).toHaveBeenCalledTimes(1)

  let late = async () => {}
  const keeping: SendMiddleware = async (_context, next) => {
    late = next
  }
  await expect(through([keeping], last)).rejects.toMatchObject({ code: 'aborted', fate: 'not-sent' })
  await expect(late()).rejects.toThrow(/after it had ended/)
  expect(last).toHaveBeenCalledTimes(1)
})
