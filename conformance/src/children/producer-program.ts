// Sends what its parent asks for and reports each send that has resolved.
import { createInterface } from 'node:readline'
import { numbered } from '../fixtures/numbered.ts'
import { connectChild, report, settingsOf, toTopic } from './connect-child.ts'
import { commandSchema, producerSettingsSchema } from './protocol.ts'

const settings = settingsOf(producerSettingsSchema)
const topic = toTopic(settings.topic)
const message = numbered(topic)
const bus = await connectChild(settings.connection)
await bus.provision([topic])
const producer = bus.producer({ source: 'child' })

async function send(n: number, key?: string): Promise<void> {
  const { id } = await producer.send(message, { n, ...(key !== undefined && { key }) })
  report({ type: 'sent', id, n })
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const command = commandSchema.parse(JSON.parse(line))
  switch (command.type) {
    case 'send':
      await send(command.n, command.key)
      break
    case 'send-without-end':
      for (let n = 1; ; n += 1) await send(n)
  }
})
report({ type: 'ready' })
