import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureProgram } from '../brokers/debian-packages.ts'
import { runCommand } from '../brokers/run-command.ts'

/** PEM texts. */
export interface Identity {
  readonly certificate: string
  readonly key: string
}

export interface Certificates {
  readonly authority: string
  /** Of the name `broker.test`. */
  readonly server: Identity
  readonly client: Identity
}

export const serverName = 'broker.test'

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** An authority of our own, a certificate for the broker and one for a client, all good for a day. */
export async function makeCertificates(clientName: string): Promise<Certificates> {
  await ensureProgram('openssl', 'openssl', 'making certificates')
  const folder = await mkdtemp(join(tmpdir(), 'waybill-certificates-'))
  const openssl = (...args: readonly string[]) => runCommand('openssl', args, { cwd: folder })
  const issue = async (file: string, name: string): Promise<Identity> => {
    await openssl('req', ...newKey, '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', `/CN=${name}`)
    await writeFile(join(folder, `${file}.ext`), `subjectAltName=DNS:${name}\n`)
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1']
    await openssl(
      'x509',
      '-req',
      '-in',
      `${file}.csr`,
      ...by,
      '-extfile',
      `${file}.ext`,
      '-out',
      `${file}.pem`,
    )
    return { certificate: await read(`${file}.pem`), key: await read(`${file}.key`) }
  }
  const read = (file: string) => readFile(join(folder, file), 'utf8')
  try {
    const subject = ['-subj', '/CN=Waybill test authority', '-days', '1']
    await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', ...subject)
    const server = await issue('server', serverName)
    return { authority: await read('ca.pem'), server, client: await issue('client', clientName) }
  } finally {
    await rm(folder, { recursive: true })
  }
}
