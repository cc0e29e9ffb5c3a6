import { PassThrough, Readable } from 'node:stream'
import { run } from './run.ts'

export interface Terminal {
  readonly isTTY?: boolean
  readonly input?: string
}

/** Runs a command line in this process, in a folder; each stream is a terminal, or none is. */
export async function waybill(line: string, folder: string, { isTTY = false, input = '' }: Terminal = {}) {
  const text = { stdout: '', stderr: '' }
  const collect = (name: keyof typeof text) =>
    Object.assign(new PassThrough(), { isTTY }).on('data', (chunk: Buffer) => {
      text[name] += chunk.toString()
    })
  const stdin = Object.assign(Readable.from([input]), { isTTY })
  const host = {
    streams: { stdin, stdout: collect('stdout'), stderr: collect('stderr') },
    directory: folder,
    signal: new AbortController().signal,
  }
  const code = await run(line.split(' '), host)
  return { code, ...text }
}
