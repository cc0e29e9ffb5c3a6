import { expect, test } from 'vitest'
import { KeyOrder } from './key-order.ts'

function stage() {
  const order = new KeyOrder()
  const log: string[] = []
  const ends = new Map<string, PromiseWithResolvers<boolean>>()
  const start = (name: string, ...keys: string[]) => {
    const end = Promise.withResolvers<boolean>()
    ends.set(name, end)
    const task = () => {
      log.push(name)
      return end.promise
    }
    return order.run(keys, task, (isWhole) => isWhole)
  }
  return { log, start, end: (name: string, isWhole: boolean) => ends.get(name)?.resolve(isWhole), ends }
}

test('tasks wait for earlier ones of a key, and for no others', async () => {
  const { log, start, end } = stage()
  const first = start('first', 'a', 'b')
  const second = start('second', 'b', 'c')
  const third = start('third', 'd')
  expect(log).toEqual(['first', 'third'])
  end('first', true)
  await first
  await new Promise((resolve) => setImmediate(resolve))
  expect(log).toEqual(['first', 'third', 'second'])
  end('second', true)
  end('third', true)
  await Promise.all([second, third])
})

test('a task whose earlier one failed, even in part, does not run, and nothing is remembered of it', async () => {
  const { log, start, end, ends } = stage()
  const failing = start('failing', 'a')
  const partial = start('partial', 'b')
  const held = [start('held 1', 'a'), start('held 2', 'b'), start('held 3', 'a')]
  const settled = Promise.allSettled([failing, ...held])
  ends.get('failing')?.reject(new Error('why'))
  end('partial', false)
  expect(await partial).toBe(false)
  expect((await settled).map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
  expect(log).toEqual(['failing', 'partial'])
  const again = start('again', 'a', 'b')
  end('again', true)
  expect(await again).toBe(true)
})
