import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

// amqplib's own encoders, which its package does not export.
const load = createRequire(import.meta.url)
const folder = join(dirname(load.resolve('amqplib')), 'lib')

export const defs: {
  readonly BasicPublish: number
  readonly BasicProperties: number
  encodeMethod(method: number, channel: number, fields: object): Buffer
  encodeProperties(properties: number, channel: number, size: number, values: object): Buffer
} = load(join(folder, 'defs.js'))

export const frames: {
  makeBodyFrame(channel: number, body: Buffer): Buffer
} = load(join(folder, 'frame.js'))
