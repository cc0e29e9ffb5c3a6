import { produceRequest } from './produce-request.ts'
import { decodeRecord } from './record-reader.ts'
import { replaceModule } from './replace-module.ts'

/** Puts our encoder and decoder in kafkajs's place. It loads its own at the first produce and fetch. */
export function installFastRecords(): void {
  replaceModule('kafkajs/src/protocol/requests/produce/v3/request.js', produceRequest)
  replaceModule('kafkajs/src/protocol/recordBatch/record/v0/decoder.js', decodeRecord)
}
