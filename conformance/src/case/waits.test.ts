import { expect, test } from 'vitest'
import { Waits } from './waits.ts'

const noProgress = () => undefined

test('eventually resolves as soon as the predicate holds, also after it threw', async () => {
  let calls = 0
  const predicate = () => {
    calls += 1
    if (calls === 1) throw new Error('not yet')
    return calls === 3
  }
  await new Waits().eventually('three calls', predicate, 1000, noProgress)
  expect(calls).toBe(3)
})

test('eventually rejects at its deadline, with what the predicate threw last as the cause', async () => {
  const failing = new Waits().eventually('nothing', () => Promise.reject(new Error('why')), 30, noProgress)
  const error = await failing.catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ message: 'Not in time: nothing', cause: { message: 'why' } })
})

test('eventually goes on for as long as there is progress', async () => {
  let steps = 0
  await new Waits().eventually(
    'eight steps',
    () => steps > 8,
    100,
    () => {
      steps += 1
      return steps
    },
  )
  expect(steps).toBe(9)
})

test('within gives the result, or rejects when it takes longer', async () => {
  const waits = new Waits()
  expect(await waits.within('a result', Promise.resolve(1), 1000)).toBe(1)
  await expect(waits.within('a result', new Promise(() => undefined), 10)).rejects.toThrow(
    'Not in time: a result',
  )
})

test('what is waited for can be told, and ends with the case', async () => {
  const waits = new Waits()
  const waiting = waits.eventually('pigs fly', () => false, 10_000, noProgress)
  expect(waits.pending).toEqual(['pigs fly'])
  waits.end()
  await expect(waiting).rejects.toThrow('The case is over')
  expect(waits.pending).toEqual([])
})
