import assert from 'node:assert/strict'
import { connect } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { refusal } from '../../case/refusal.ts'
import { startBroker } from '../brokers/index.ts'
import { type Certificates, makeCertificates, serverName } from '../certificates.ts'
import { Administration } from './administration.ts'

/** IANA service name `amqps`. */
const tlsPort = 5671
const folder = '/etc/rabbitmq/tls'

/** A broker of its own that speaks TLS too, and takes the user from a client's certificate. */
function startTlsBroker({ authority, server }: Certificates) {
  return startBroker('rabbitmq', {
    publish: [tlsPort],
    files: [
      { target: `${folder}/ca.pem`, content: authority },
      { target: `${folder}/server.pem`, content: server.certificate },
      { target: `${folder}/server.key`, content: server.key },
      { target: '/etc/rabbitmq/enabled_plugins', content: '[rabbitmq_auth_mechanism_ssl].\n' },
    ],
    // RabbitMQ documentation, "TLS Support" and "Access Control", section "Using Certificates for Authentication".
    configuration: {
      'listeners.ssl.default': String(tlsPort),
      'ssl_options.cacertfile': `${folder}/ca.pem`,
      'ssl_options.certfile': `${folder}/server.pem`,
      'ssl_options.keyfile': `${folder}/server.key`,
      'ssl_options.verify': 'verify_peer',
      'ssl_options.fail_if_no_peer_cert': 'false',
      'auth_mechanisms.1': 'PLAIN',
      'auth_mechanisms.2': 'EXTERNAL',
      ssl_cert_login_from: 'common_name',
    },
  })
}

export const overTls: readonly Case[] = [
  {
    number: 104,
    title:
      "Over TLS the broker's certificate is checked, and with `external` the client's certificate says who it is",
    needs: ['restart'],
    timeoutMs: 120_000,
    async run(context) {
      const user = context.unique('service')
      const certificates = await makeCertificates(user)
      const { authority, client } = certificates
      const broker = await startTlsBroker(certificates)
      context.defer(() => broker.stop())
      const administration = new Administration(broker)
      const { adapter } = context.harness
      const open = async (userInfo: string, rabbitmq: object) => {
        const url = `amqps://${userInfo}${broker.host}:${broker.portOf(tlsPort)}`
        const bus = await connect({ url, adapter, console: false, native: { rabbitmq } })
        context.defer(() => bus.close())
        return bus
      }
      const known = { ca: authority, servername: serverName }

      for (const [what, tls] of Object.entries({
        'a certificate of an unknown authority': { servername: serverName },
        'a certificate for another name': { ca: authority, servername: 'elsewhere.test' },
      })) {
        const attempt = context.within('it is refused', open('', { tls }))
        const error = await refusal(what, attempt, 'connection-failed')
        assert.ok(!error.retryable, `${what} is tried again`)
      }

      const plainPort = new URL(broker.url).port
      for (const [url, advice] of [
        [`amqp://guest:guest@${broker.host}:${broker.portOf(tlsPort)}`, /expect TLS; write amqps:/],
        [`amqps://guest:guest@${broker.host}:${plainPort}`, /check that this port speaks TLS/],
      ] as const) {
        const attempt = connect({ url, adapter, timeout: context.pace(1000), console: false })
        const { message } = await refusal(url, context.within(url, attempt), 'connection-failed')
        assert.match(message, advice)
      }

      const byPassword = await open('guest:guest@', { tls: known })
      await administration.control('add_user', user, 'never used')
      await administration.control('set_permissions', user, '.*', '.*', '.*')
      const tls = { ...known, cert: client.certificate, key: client.key }
      const byCertificate = await open('', { tls, authentication: 'external' })
      const connections = await administration.list('list_connections', 'user', 'ssl', 'auth_mechanism')
      assert.deepEqual(
        new Set(connections.map((columns) => columns.join(' '))),
        new Set(['guest true PLAIN', `${user} true EXTERNAL`]),
      )
      for (const bus of [byPassword, byCertificate]) {
        const stage = await context.stage({ bus })
        const recorder = context.recorder()
        await stage.consume(recorder)
        // Larger than a TLS record.
        await context.exactly(recorder, await stage.send(10, {}, { key: 'x'.repeat(100_000) }))
        await bus.close()
      }
    },
  },
]
