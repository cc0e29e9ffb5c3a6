import { describe, expect, test, vi } from 'vitest'
import { stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'

const orders = defineTopic('orders', { groups: ['billing'] })

describe('administration', () => {
  test('refuses by name what the driver does not offer', async () => {
    const { bus } = await stubBus(stubDriver())
    for (const [call, what] of [
      [() => bus.administration.listTopics(), 'Listing topics'],
      [() => bus.administration.listGroups(orders), 'Listing groups'],
      [() => bus.administration.deleteTopic(orders), 'Deleting topics'],
      [() => bus.administration.deleteGroup(orders, 'billing'), 'Deleting groups'],
      [() => bus.administration.cancelDelayed(orders, 'o-1'), 'Cancelling a delayed message'],
    ] as const) {
      const message = new RegExp(`^${what} is not supported by the stub driver\\. Instead: `)
      await expect(call()).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(message),
      })
    }
  })

  test('refuses arguments that are none', async () => {
    const deleteTopic = vi.fn(async () => {})
    const { bus } = await stubBus(stubDriver({ administration: { deleteTopic } }))
    // @ts-expect-error: what a caller without types can do
    await expect(bus.administration.deleteTopic()).rejects.toThrow(/topic: expected a topic/)
    // @ts-expect-error: what a caller without types can do
    await expect(bus.administration.cancelDelayed(orders)).rejects.toThrow(/id: /)
    await expect(bus.administration.deleteGroup(orders, '')).rejects.toThrow(/group: expected 1 to 64/)
    expect(deleteTopic).not.toHaveBeenCalled()
  })

  test('calls the driver’s methods with their own this', async () => {
    class Own {
      readonly names = ['billing']
      async listGroups() {
        return this.names
      }
    }
    const { bus } = await stubBus(stubDriver({ administration: new Own() }))
    expect(await bus.administration.listGroups(orders)).toEqual(['billing'])
  })

  test('lists topics that can be looked at without their definitions', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const [topic] = await test.bus.administration.listTopics()
    if (topic === undefined) throw new Error('no topic')
    expect(topic).toMatchObject({ name: 'orders', groups: [] })
    expect(await test.bus.group(topic, 'billing').stats()).toMatchObject({ waiting: 0 })
  })

  test('is refused after the bus was closed', async () => {
    const { bus } = await stubBus(stubDriver())
    await bus.close()
    await expect(bus.administration.listTopics()).rejects.toMatchObject({ code: 'closed' })
  })

  test('a deleted topic is made again when it is used', async () => {
    const apply = vi.fn(async () => ({ created: [], missing: [] }))
    const { bus } = await stubBus(stubDriver({ apply, administration: { deleteTopic: async () => {} } }))
    await bus.provision([orders])
    await bus.administration.deleteTopic(orders)
    await bus.provision([orders])
    expect(apply).toHaveBeenCalledTimes(2)
  })
})
