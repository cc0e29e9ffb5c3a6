import assert from 'node:assert/strict'
import { adapter } from '@waybill/adapter-kafka'
import { type ConnectOptions, connect } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { refusal } from '../../case/refusal.ts'
import { Stage } from '../../case/stage.ts'
import { type RunningBroker, startBroker } from '../brokers/index.ts'
import { type Identity, selfSigned } from '../certificates.ts'

const user = 'waybill'
const password = 'correct horse'

const modules = {
  plain: `org.apache.kafka.common.security.plain.PlainLoginModule required user_${user}="${password}";`,
  'scram-sha-256': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  'scram-sha-512': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  oauthbearer: 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;',
}

/** Names of the harness's listeners; the first for proxies takes TLS with SASL only. */
const securedListener = 'PROXIED0'
const plainListeners = ['CONTROLLER', 'CLIENT', 'INTERNAL', 'PROXIED1', 'PROXIED2', 'PROXIED3']

/** The keys are those of Kafka's documentation, "Security". */
function configuration({ certificate, key }: Identity): Record<string, string> {
  const prefix = `listener.name.${securedListener.toLowerCase()}`
  const inline = (pem: string) => pem.replaceAll('\n', '\\n')
  return {
    'listener.security.protocol.map': [
      ...plainListeners.map((name) => `${name}:PLAINTEXT`),
      `${securedListener}:SASL_SSL`,
    ].join(','),
    [`${prefix}.ssl.keystore.type`]: 'PEM',
    [`${prefix}.ssl.keystore.certificate.chain`]: inline(certificate),
    [`${prefix}.ssl.keystore.key`]: inline(key),
    [`${prefix}.sasl.enabled.mechanisms`]: Object.keys(modules).join(',').toUpperCase(),
    ...Object.fromEntries(
      Object.entries(modules).map(([name, module]) => [`${prefix}.${name}.sasl.jaas.config`, module]),
    ),
  }
}

/** The broker takes one mechanism of a user at a time. */
async function addScramUser(broker: RunningBroker, mechanism: string): Promise<void> {
  const { exitCode, output } = await broker.exec([
    ...['/opt/kafka/bin/kafka-configs.sh', '--bootstrap-server', 'localhost:9094', '--alter'],
    ...['--entity-type', 'users', '--entity-name', user],
    ...['--add-config', `${mechanism}=[password=${password}]`],
  ])
  assert.equal(exitCode, 0, output)
}

/** A token that the broker's default, unsecured validator takes (Kafka documentation, "Authentication using SASL/OAUTHBEARER"). */
function unsecuredToken(): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  return `${encode({ alg: 'none' })}.${encode({ sub: user, iat: now, exp: now + 600 })}.`
}

async function sendsAndReceives(context: CaseContext, options: ConnectOptions): Promise<void> {
  const bus = await connect({ adapter, console: false, ...options })
  context.defer(() => bus.close())
  const stage = await Stage.open(context, { bus })
  const recorder = context.recorder()
  await stage.consume(recorder)
  await context.exactly(recorder, await stage.send(5))
}

export const secured: Case = {
  number: 211,
  title: 'TLS with SASL by plain, SCRAM and OAuth tokens; what is refused says so at once',
  needs: ['restart'],
  timeoutMs: 120_000,
  async run(context) {
    const made = await selfSigned('127.0.0.1')
    const broker = await startBroker('kafka', { configuration: configuration(made) })
    context.defer(() => broker.stop())
    await Promise.all(['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((each) => addScramUser(broker, each)))
    const { port } = new URL((await broker.openProxy()).url)
    const host = `127.0.0.1:${port}`
    const tls = { ca: made.certificate }
    const secret = encodeURIComponent(password)
    const url = (mechanism: string, given = secret) =>
      `kafka+ssl://${user}:${given}@${host}?sasl=${mechanism}`
    for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
      await sendsAndReceives(context, { url: url(mechanism), native: { kafka: { tls } } })
    }
    const oauthBearerProvider = async () => ({ value: unsecuredToken() })
    await sendsAndReceives(context, {
      url: `kafka+ssl://${host}`,
      native: { kafka: { tls, sasl: { mechanism: 'oauthbearer', oauthBearerProvider } } },
    })

    const refused = async (code: 'access-denied' | 'connection-failed', options: ConnectOptions) => {
      const ended = new AbortController()
      context.defer(() => ended.abort())
      // An error that will not go away is no reason to go on trying.
      const { signal } = ended
      const connecting = refusal(
        'connect',
        connect({ adapter, console: false, timeout: 'forever', signal, ...options }),
        code,
      )
      const error = await context.within('it is refused', connecting)
      assert.equal(error.retryable, false)
    }
    await refused('access-denied', { url: url('plain', 'wrong'), native: { kafka: { tls } } })
    await refused('access-denied', { url: url('scram-sha-512', 'wrong'), native: { kafka: { tls } } })
    await refused('connection-failed', { url: url('plain') })
  },
}
