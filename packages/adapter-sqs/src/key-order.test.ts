import { expect, test } from 'vitest'
import { KeyOrder } from './key-order.ts'

test('tasks wait for earlier ones of a key, even failed ones, and for no others', async () => {
  const order = new KeyOrder()
  const log: string[] = []
  const gates = new Map<string, () => void>()
  const start = (name: string, ...keys: string[]) =>
    order.run(keys, async () => {
      log.push(`${name} started`)
      await new Promise<void>((resolve) => gates.set(name, resolve))
      log.push(`${name} ended`)
      if (name === 'first') throw new Error('first failed')
    })
  const first = start('first', 'a', 'b')
  const second = start('second', 'b', 'c')
  const third = start('third', 'd')
  const settled = Promise.allSettled([first, second, third])
  expect(log).toEqual(['first started', 'third started'])
  gates.get('first')?.()
  await expect(first).rejects.toThrow('first failed')
  await new Promise((resolve) => setImmediate(resolve))
  expect(log).toEqual(['first started', 'third started', 'first ended', 'second started'])
  gates.get('second')?.()
  gates.get('third')?.()
  await settled
})
