/** Documents that are worked on step by step, and a page that shows how far they are. See ../README.md. */
import { parseArgs } from 'node:util'
import { connect } from '@waybill/core'
import { openPipeline } from './pipeline.ts'

const usage = `Usage: npm run demo:documents -- [--url URL] [--port N]

  --url URL   where messages travel: memory:, amqp://…, kafka://…, sqs://…, redis://… (default: memory:)
  --port N    of the page (default: 8080)
  --help      this text`

const options = {
  url: { type: 'string', default: 'memory:' },
  port: { type: 'string', default: '8080' },
  help: { type: 'boolean', default: false },
} as const

try {
  const { url, port, help } = parseArgs({ options }).values
  if (help) console.log(usage)
  else {
    const bus = await connect({ url })
    const pipeline = await openPipeline(bus, Number(port))
    console.log(`Upload a document at ${pipeline.address}; end with Ctrl+C.`)
    process.once('SIGINT', async () => {
      await pipeline[Symbol.asyncDispose]()
      await bus.close()
    })
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:documents -- --help')
  process.exitCode = 1
}
