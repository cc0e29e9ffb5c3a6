import type { BrokerDefinition } from './definition.ts'
import { exchange } from './exchange.ts'

// "Frontend/Backend Protocol", StartupMessage: protocol 3.0.
const PROTOCOL = 196_608

/** No broker, but started like one: the database of inbox, outbox and marks. Anybody may connect as `postgres`. */
export const postgres: BrokerDefinition = {
  recipe: 'postgres',
  officialImage: 'postgres:17',
  imageVariable: 'WAYBILL_POSTGRES_IMAGE',
  urlVariable: 'WAYBILL_POSTGRES_URL',
  proxyListeners: 0,
  defaultPort: 5432,
  url: (host, port) => `postgres://postgres@${host}:${port}/postgres`,
  plan: ({ port, configuration }) => ({
    ports: [{ container: 5432, host: port }],
    environment: { POSTGRES_HOST_AUTH_METHOD: 'trust' },
    command: [
      'postgres',
      ...Object.entries(configuration).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
  }),
  async probe(host, port) {
    // An error while it starts, a request for authentication or its success once it takes sessions.
    const answer = await exchange(host, port, startupMessage())
    if (answer.toString('latin1', 0, 1) !== 'R') throw new Error(answer.toString('latin1').trim())
  },
}

function startupMessage(): Buffer {
  const parameters = Buffer.from('user\0postgres\0database\0postgres\0\0')
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + parameters.length, 0)
  head.writeInt32BE(PROTOCOL, 4)
  return Buffer.concat([head, parameters])
}
