import assert from 'node:assert/strict'
import type { Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'

/** As case 98h of the contract, for a broker that has sessions instead of leases. */
export function standstillCase(client: Kafka): Case {
  return {
    number: 233,
    title: 'Handlers that block the event loop for longer than the session lasts finish each message once',
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage({ topic: { partitions: 2, groups: [context.unique('group')] } })
      const sent = await stage.send(5)
      // The shortest that the broker allows (group.min.session.timeout.ms).
      const sessionTimeout = 6000
      const concurrency = 2
      const { url } = context.harness.connection
      const child = context.child('consumer-program', {
        connection: { url, native: { kafka: { sessionTimeout } } },
        topic: stage.topic,
        group: stage.group,
        options: { concurrency },
        behaviour: { kind: 'block', durationMs: 1.5 * sessionTimeout },
      })
      const runs = () => child.of('delivered').map(({ id }) => id)
      await context.eventually('all are handled', () => new Set(runs()).size === sent.length, 180_000)
      const admin = client.admin()
      context.defer(() => admin.disconnect())
      await admin.connect()
      const committed = async () => {
        const topics = [stage.topic.name]
        const [found] = await admin.fetchOffsets({ groupId: `${stage.topic.name}:${stage.group}`, topics })
        return found?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
      }
      await context.eventually('all are committed', async () => (await committed()) === sent.length, 60_000)
      assert.ok(
        runs().length <= sent.length + concurrency,
        `${runs().length} runs of ${sent.length} messages`,
      )
    },
  }
}
