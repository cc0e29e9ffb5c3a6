import { createRequire } from 'node:module'
import { groupByPartition } from './group-by-partition.ts'
import { replaceModule } from './replace-module.ts'

// Before the rest of it is loaded, which binds this module at once.
replaceModule('kafkajs/src/producer/groupMessagesPerPartition.js', groupByPartition)

/** The client library, to be imported from here alone. */
export const kafkajs: typeof import('kafkajs') = createRequire(import.meta.url)('kafkajs')
