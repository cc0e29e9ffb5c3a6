import type { BrokerDefinition, Placement } from './definition.ts'
import { exchange } from './exchange.ts'

/** FindCoordinator, version 1 (Kafka protocol guide, "FindCoordinator API", "Request Header v1"). */
const FIND_COORDINATOR = 10
const COORDINATOR_TYPES = { group: 0, transaction: 1 } as const
/** Where the error code stands in the answer: after size, correlation id and throttle time. */
const ERROR_CODE_OFFSET = 12

/** Ports inside the container. */
const CLIENT_PORT = 9092
const CONTROLLER_PORT = 9093
/** For tools run inside the container, and for the broker's own requests to itself. */
const INTERNAL_PORT = 9094
const FIRST_PROXIED_PORT = 9100

export const kafka: BrokerDefinition = {
  recipe: 'kafka',
  officialImage: 'apache/kafka:4.1.0',
  imageVariable: 'WAYBILL_KAFKA_IMAGE',
  urlVariable: 'WAYBILL_KAFKA_URL',
  // Kafka tells its clients where to connect, so each proxy needs a listener that names the proxy's port.
  proxyListeners: 4,
  defaultPort: 9092,
  url: (host, port) => `kafka://${host}:${port}`,
  plan: (placement) => ({
    ports: [
      { container: CLIENT_PORT, host: placement.port },
      ...placement.proxies.map(({ targetPort }, index) => ({
        container: FIRST_PROXIED_PORT + index,
        host: targetPort,
      })),
    ],
    environment: { KAFKA_HEAP_OPTS: '-Xms256m -Xmx512m' },
    // The image's "file input": it replaces the default server.properties (Kafka Docker Image Usage Guide).
    files: [{ target: '/mnt/shared/config/server.properties', content: propertiesFile(placement) }],
  }),
  // An answer means that the broker is unfenced; one without an error that the internal topics for offsets
  // and transactions are there (the question has them created), so that no client meets their absence.
  async probe(host, port) {
    for (const type of Object.values(COORDINATOR_TYPES)) {
      const answer = await exchange(host, port, findCoordinatorRequest(type))
      const errorCode = answer.readInt16BE(ERROR_CODE_OFFSET)
      if (errorCode !== 0) throw new Error(`FindCoordinator: error ${errorCode}`)
    }
  },
}

function findCoordinatorRequest(type: number): Buffer {
  const key = Buffer.from('waybill-probe')
  const header = Buffer.from([0, FIND_COORDINATOR, 0, 1, 0, 0, 0, 1, 0xff, 0xff])
  const body = Buffer.concat([header, Buffer.from([0, key.length]), key, Buffer.from([type])])
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  return Buffer.concat([size, body])
}

/** The keys are those of Kafka's documentation, "Broker Configs". */
function propertiesFile({ host, port, proxies, configuration }: Placement): string {
  const listeners = [
    { name: 'CLIENT', port: CLIENT_PORT, advertised: `${host}:${port}` },
    { name: 'INTERNAL', port: INTERNAL_PORT, advertised: `localhost:${INTERNAL_PORT}` },
    ...proxies.map(({ listenPort }, index) => ({
      name: `PROXIED${index}`,
      port: FIRST_PROXIED_PORT + index,
      // A proxy of ours always listens on this machine's loopback address.
      advertised: `127.0.0.1:${listenPort}`,
    })),
  ]
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@localhost:${CONTROLLER_PORT}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'INTERNAL',
    listeners: [
      `CONTROLLER://localhost:${CONTROLLER_PORT}`,
      ...listeners.map((listener) => `${listener.name}://0.0.0.0:${listener.port}`),
    ].join(','),
    'advertised.listeners': listeners.map(({ name, advertised }) => `${name}://${advertised}`).join(','),
    'listener.security.protocol.map': ['CONTROLLER', ...listeners.map(({ name }) => name)]
      .map((name) => `${name}:PLAINTEXT`)
      .join(','),
    'log.dirs': '/tmp/kafka-data',
    // One node can hold one copy of anything; this is what makes transactions and groups work at all.
    'default.replication.factor': '1',
    'min.insync.replicas': '1',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    // Fifty partitions each by default; on one node they only cost time at start-up.
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.num.partitions': '4',
    // Nine seconds by default, for which the controller turns away a broker that comes back after a kill.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    // Three seconds by default, so that the members of a large group come together; tests would only wait.
    'group.initial.rebalance.delay.ms': '0',
    'auto.create.topics.enable': 'false',
    ...configuration,
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}
