import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureProgram } from './brokers/debian-packages.ts'
import { runCommand } from './brokers/run-command.ts'

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

/** Where files are made, for as long as that takes. */
interface Folder {
  openssl(...args: readonly string[]): Promise<unknown>
  read(file: string): Promise<string>
  write(file: string, text: string): Promise<void>
}

async function inFolder<Result>(make: (folder: Folder) => Promise<Result>): Promise<Result> {
  await ensureProgram('openssl', 'openssl', 'making certificates')
  const folder = await mkdtemp(join(tmpdir(), 'waybill-certificates-'))
  try {
    return await make({
      openssl: (...args) => runCommand('openssl', args, { cwd: folder }),
      read: (file) => readFile(join(folder, file), 'utf8'),
      write: (file, text) => writeFile(join(folder, file), text),
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A certificate that nobody but itself vouches for, of a server that is reached by its IP address. */
export function selfSigned(address: string): Promise<Identity> {
  return inFolder(async ({ openssl, read }) => {
    const subject = ['-subj', '/CN=waybill', '-addext', `subjectAltName=IP:${address}`, '-days', '1']
    await openssl('req', '-x509', ...newKey, '-keyout', 'server.key', '-out', 'server.pem', ...subject)
    return { certificate: await read('server.pem'), key: await read('server.key') }
  })
}

/** An authority of our own, a certificate for the broker and one for a client, all good for a day. */
export function makeCertificates(clientName: string): Promise<Certificates> {
  return inFolder(async ({ openssl, read, write }) => {
    const issue = async (file: string, name: string): Promise<Identity> => {
      await openssl('req', ...newKey, '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', `/CN=${name}`)
      await write(`${file}.ext`, `subjectAltName=DNS:${name}\n`)
      const request = ['-req', '-in', `${file}.csr`, '-extfile', `${file}.ext`, '-out', `${file}.pem`]
      await openssl('x509', ...request, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1')
      return { certificate: await read(`${file}.pem`), key: await read(`${file}.key`) }
    }
    const subject = ['-subj', '/CN=Waybill test authority', '-days', '1']
    await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', ...subject)
    const server = await issue('server', serverName)
    return { authority: await read('ca.pem'), server, client: await issue('client', clientName) }
  })
}
