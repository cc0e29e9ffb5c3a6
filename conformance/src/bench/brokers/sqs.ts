import type { BrokerDefinition } from './definition.ts'

const ANSWER_WITHIN_MS = 3_000

/** fauxqs, an emulator of SQS and SNS that keeps its state in SQLite. */
export const sqs: BrokerDefinition = {
  recipe: 'sqs',
  officialImage: 'kibertoad/fauxqs:2.4.1',
  imageVariable: 'WAYBILL_SQS_IMAGE',
  urlVariable: 'WAYBILL_SQS_URL',
  proxyListeners: 0,
  defaultPort: 4566,
  // It takes any credentials, but the SDK wants some.
  url: (host, port) => `sqs+http://test:test@${host}:${port}/?region=us-east-1`,
  plan: ({ port, configuration }) => ({
    ports: [{ container: 4566, host: port }],
    // fauxqs README, "Environment variables" and "Persistence": off unless /data is a volume.
    environment: {
      FAUXQS_PERSISTENCE: 'true',
      FAUXQS_LOGGER: 'false',
      // Empty: queue URLs carry the host and port of the request that created the queue, so they lead where
      // it went. Otherwise they name sqs.REGION.localhost, which not every resolver knows.
      FAUXQS_HOST: '',
      ...configuration,
    },
    volumes: ['/data'],
  }),
  async probe(host, port) {
    const response = await fetch(`http://${host}:${port}/health`, {
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    })
    await response.arrayBuffer()
    // Another emulator may have no such page; that it answers is enough.
    if (response.status >= 500) throw new Error(`GET /health: ${response.status}`)
  },
}
