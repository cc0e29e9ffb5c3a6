import type { WrongConnections } from '../../harness.ts'
import { chooseFreePort } from '../brokers/free-port.ts'

/** Each scheme, and the one that asks for TLS. */
const secure: Readonly<Record<string, string>> = {
  ...{ amqp: 'amqps', kafka: 'kafka+ssl', redis: 'rediss', 'sqs+http': 'sqs+https' },
}

/** Connections to the broker of this URL that must fail. */
export async function wrongConnections(
  url: string,
  {
    asksForCredentials = true,
    makePowerless,
  }: {
    readonly asksForCredentials?: boolean
    /** Makes a user who may connect, and nothing else. */
    readonly makePowerless?: (user: string, password: string) => Promise<unknown>
  } = {},
): Promise<WrongConnections> {
  const [, scheme = '', credentials = '', host = '', rest = ''] =
    /^([a-z+]+):\/\/([^@/]*@)?([^/?]*)(.*)$/.exec(url) ?? []
  const address = `127.0.0.1:${await chooseFreePort()}`
  const user = 'nobody'
  return {
    ...(asksForCredentials && {
      credentials: { user, options: { url: `${scheme}://${user}:wrong@${host}${rest}` } },
    }),
    ...(makePowerless !== undefined && {
      rights: async () => {
        await makePowerless('powerless', 'secret')
        return { url: `${scheme}://powerless:secret@${host}${rest}` }
      },
    }),
    address: { address, options: { url: `${scheme}://${credentials}${address}${rest}` } },
    tls: { url: `${secure[scheme] ?? scheme}://${credentials}${host}${rest}` },
  }
}
