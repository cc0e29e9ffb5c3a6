import { readFileSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'

/** What the figures were taken on. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  readonly clients: Readonly<Record<string, string>>
}

const clients = ['amqplib', 'kafkajs', 'ioredis', '@aws-sdk/client-sqs', '@waybill/core']

export function describeMachine(): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    clients: Object.fromEntries(clients.map((name) => [name, versionOf(name)])),
  }
}

/** How many processes wanted a processor in the last minute, on average. */
export function load(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100
}

function versionOf(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  const manifest: { readonly version: string } = JSON.parse(readFileSync(file, 'utf8'))
  return manifest.version
}
