import assert from 'node:assert/strict'
import { createProxy, type TcpProxy } from '../../network/proxy.ts'
import type { RunningBroker } from '../brokers/index.ts'

/** Container port of its listener for clients. */
export const secondBrokerPort = 9201

/** Of the harness's listeners, the first that `openProxy` takes: the clients of a cluster come through proxies. */
const clientListener = 'PROXIED0'

const files = {
  properties: '/tmp/second.properties',
  data: '/tmp/kafka-data-second',
  log: '/tmp/second.log',
  pid: '/tmp/second.pid',
}

/** The keys are those of Kafka's documentation, "Broker Configs". */
function propertiesFile(port: number, configuration: Readonly<Record<string, string>>): string {
  const properties = {
    'process.roles': 'broker',
    'node.id': '2',
    'controller.quorum.voters': '1@localhost:9093',
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'INTERNAL',
    listeners: `INTERNAL://0.0.0.0:9194,${clientListener}://0.0.0.0:${secondBrokerPort}`,
    'advertised.listeners': `INTERNAL://localhost:9194,${clientListener}://127.0.0.1:${port}`,
    'listener.security.protocol.map': ['CONTROLLER', 'INTERNAL', clientListener]
      .map((name) => `${name}:PLAINTEXT`)
      .join(','),
    'log.dirs': files.data,
    ...configuration,
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

async function run(broker: RunningBroker, script: string): Promise<void> {
  const { exitCode, output } = await broker.exec(['sh', '-c', script])
  assert.equal(exitCode, 0, output)
}

/** A second node of a broker's cluster, in the same container, which has to publish {@link secondBrokerPort}. */
export interface SecondBroker {
  /** The way of all clients to it. */
  readonly proxy: TcpProxy
  /** SIGKILL. */
  kill(): Promise<void>
}

/** Resolves before it has joined the cluster. */
export async function startSecondBroker(
  broker: RunningBroker,
  configuration: Readonly<Record<string, string>>,
): Promise<SecondBroker> {
  const proxy = await createProxy({ target: { host: broker.host, port: broker.portOf(secondBrokerPort) } })
  const { properties, log, pid } = files
  const java = '/opt/kafka/bin/kafka-run-class.sh'
  await run(
    broker,
    `set -eu
cat > ${properties} <<'end'
${propertiesFile(proxy.port, configuration)}end
cluster=$(sed -n 's/^cluster.id=//p' /tmp/kafka-data/meta.properties)
${java} kafka.tools.StorageTool format -t "$cluster" -c ${properties}
nohup ${java} kafka.Kafka ${properties} > ${log} 2>&1 &
echo $! > ${pid}`,
  )
  return { proxy, kill: () => run(broker, `kill -9 $(cat ${pid})`) }
}
