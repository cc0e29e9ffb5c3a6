import type { Harness } from '../../harness.ts'
import { openServer } from './redis.ts'

/** The Redis adapter on the fork that went its own way after Redis 7.2. */
export function open(): Promise<{ harness: Harness; close(): Promise<void> }> {
  return openServer('valkey')
}
