// Connects, uses and closes over and over, and tells what is left. Its parent watches whether it exits by itself.
import { defineTopic } from '@waybill/core'
import { numbered } from '../fixtures/numbered.ts'
import { connectChild, report, settingsOf } from './connect-child.ts'
import { cyclesSettingsSchema } from './protocol.ts'

const settings = settingsOf(cyclesSettingsSchema)

async function cycle(): Promise<void> {
  const topic = defineTopic(settings.topic, { groups: [settings.group] })
  const message = numbered(topic)
  const bus = await connectChild(settings.connection)
  const received = Promise.withResolvers<void>()
  await bus
    .consumer(settings.group)
    .on(message, () => received.resolve())
    .start()
  await bus.producer().send(message, { n: 1 })
  await received.promise
  await bus.close()
}

// The first time loads and opens what lives as long as the process.
await cycle()
const before = process.getActiveResourcesInfo()
for (let count = 0; count < settings.cycles; count += 1) await cycle()
report({ type: 'resources', before, after: process.getActiveResourcesInfo() })
