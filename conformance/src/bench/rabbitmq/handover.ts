import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { fixed } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { Latch } from '../../case/latch.ts'
import { numberOf } from '../../fixtures/numbered.ts'

const partitions = 8

/** A key of the partition, as the adapter divides them. */
function keyIn(partition: number, label: string): string {
  for (let n = 0; ; n += 1) {
    const key = `${label}-${n}`
    if (crc32(key) % partitions === partition) return key
  }
}

export function handover(): readonly Case[] {
  return [
    {
      number: 147,
      title:
        'Another member of an ordered group takes partitions over although keys of them back off; handlers end, order stays',
      needs: ['restart'],
      async run(context) {
        const stage = await context.stage({
          topic: { ordered: true, partitions, groups: [context.unique('group')] },
        })
        const recorder = context.recorder()
        const slow = new Latch()
        context.defer(() => slow.open())
        const work =
          (member: string) =>
          async ({ key = '' }: { readonly key?: string | undefined }) => {
            if (key.startsWith('failing') && member === 'old') throw new Error('the old member fails')
            if (key.startsWith('slow')) await slow.passed()
          }
        // More of a partition than the broker puts back in order at once.
        const options = {
          concurrency: 3 * partitions,
          prefetch: 100 * partitions,
          retry: { backoff: fixed(600_000) },
        }
        await stage.consume(recorder, { ...options, member: 'old' }, work('old'))
        const all = Array.from({ length: partitions }, (_, partition) => partition)
        const send = (label: string, count: number) =>
          Promise.all(all.map((partition) => stage.send(count, {}, { key: keyIn(partition, label) })))
        const failing = await send('failing', 60)
        await send('slow', 2)
        await context.eventually('all have begun', () => recorder.deliveries.length === 2 * partitions)
        const bus = await context.bus({ topics: [stage.topic] })
        await stage.consume(recorder, { ...options, bus, member: 'new' }, work('new'))
        const others = (await send('other', 5)).flat()
        const slowly = () => recorder.deliveries.filter(({ message }) => message.key?.startsWith('slow'))
        await context.work(3000)
        assert.equal(slowly().length, partitions, 'a partition changed hands while a handler ran')
        slow.open()
        // The backoff is ten minutes.
        await context.eventually(
          'what other keys have is handled',
          () => others.every((message) => recorder.of(message).length === 1),
          20_000,
        )
        await context.eventually('slow keys go on', () => slowly().length === 2 * partitions)
        await context.quiet()
        for (const message of [...others, ...slowly()]) assert.equal(recorder.of(message).length, 1)
        const moved = failing.filter(([first]) => first && recorder.of(first).length > 1)
        assert.ok(moved.length > 0, 'no partition changed hands')
        for (const messages of moved) {
          const handled = recorder.byMember('new').filter(({ id }) => messages.some((each) => each.id === id))
          assert.deepEqual(
            handled.map(({ message }) => numberOf(message)),
            messages.map(numberOf),
          )
        }
      },
    },
  ]
}
