import type { BrokerDefinition } from './definition.ts'
import { exchange } from './exchange.ts'

/** "AMQP", 0, 0, 9, 1: the protocol header, AMQP 0-9-1 specification 4.2.2. */
const PROTOCOL_HEADER = Buffer.from('AMQP\0\0\x09\x01', 'latin1')
/** A method frame, AMQP 0-9-1 specification 4.2.3; the first one is connection.start. */
const METHOD_FRAME = 1

export const rabbitmq: BrokerDefinition = {
  recipe: 'rabbitmq',
  officialImage: 'rabbitmq:4',
  imageVariable: 'WAYBILL_RABBITMQ_IMAGE',
  urlVariable: 'WAYBILL_RABBITMQ_URL',
  proxyListeners: 0,
  defaultPort: 5672,
  url: (host, port) => `amqp://guest:guest@${host}:${port}`,
  plan: ({ port, configuration }) => ({
    ports: [{ container: 5672, host: port }],
    environment: {
      // Erlang's schedulers spin for a while before they sleep; on a small shared machine that starves the
      // clients. RabbitMQ documentation, "Runtime Tuning", section "CPU Resource Contention".
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+sbwt none +sbwtdcpu none +sbwtdio none',
    },
    // Read after the image's own files; RabbitMQ documentation, "Configuration", section "conf.d".
    files: [{ target: '/etc/rabbitmq/conf.d/90-waybill.conf', content: configurationFile(configuration) }],
  }),
  async probe(host, port) {
    const answer = await exchange(host, port, PROTOCOL_HEADER)
    if (answer[0] !== METHOD_FRAME) throw new Error('no connection.start')
  },
}

function configurationFile(extra: Readonly<Record<string, string>>): string {
  const entries = { 'loopback_users.guest': 'false', 'log.console': 'true', ...extra }
  return Object.entries(entries)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('')
}
