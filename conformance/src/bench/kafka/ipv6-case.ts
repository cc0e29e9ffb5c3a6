import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'

/** A way to the broker that is open on the loopback address of IPv6 only; the port it listens on. */
async function openOverIpv6(context: CaseContext, target: URL): Promise<number> {
  const server = createServer((client) => {
    const broker = connect(Number(target.port), target.hostname)
    client.pipe(broker).pipe(client)
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  server.listen({ host: '::1', port: 0, ipv6Only: true })
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT')
      context.skip('this machine has no IPv6')
    throw error
  })
  context.defer(() => {
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('It does not listen')
  return address.port
}

export const ipv6Case: Case = {
  number: 236,
  title: 'An IPv6 address in the URL reaches what it names',
  async run(context) {
    const port = await openOverIpv6(context, new URL(context.harness.connection.url))
    const stage = await context.stage({ connect: { url: `kafka://[::1]:${port}` } })
    const recorder = context.recorder()
    await stage.consume(recorder)
    await context.exactly(recorder, await stage.send(10))
  },
}
