import { isDeepStrictEqual } from 'node:util'
import { decodeFetchResponse, OlderFormat } from './fetch-response.ts'
import type { BrokerInside, LookupRequest, ProtocolRequest } from './insides.ts'
import { isProduceOptions, type ProduceOptions, produceRequest } from './produce-request.ts'

/** Kafka protocol guide, "API Keys". */
const apiKeys = { produce: 0, fetch: 1 }
/** Versions of the request of one format, that of record batches (the same, "Produce API"). */
const produceVersions = { from: 3, to: 7 }
/** The version of the response that is read here (the same, "Fetch API"). */
const fetchVersion = 11

type Warn = (message: string) => void

/**
 * Encodes a broker's produce requests and decodes its fetches in our own code, provided that a known sample comes out
 * exactly as in kafkajs. kafkajs makes a buffer of 512 bytes for each record and header that it writes, copies each
 * record through five that grow, and cannot write a header without value; of each record that it reads it copies all
 * headers anew for each of them.
 */
export function codeOurselves(broker: BrokerInside, warn: Warn): void {
  let lookup = broker.lookupRequest
  const ours: LookupRequest = (apiKey, definition) => {
    const make = lookup(apiKey, definition)
    if (apiKey === apiKeys.produce) return (options) => encoded(make, options, warn)
    if (apiKey === apiKeys.fetch) return (options) => decoded(make(options), warn)
    return make
  }
  // kafkajs sets it anew whenever it has asked a broker for its versions.
  Object.defineProperty(broker, 'lookupRequest', {
    get: () => ours,
    set: (value: LookupRequest) => {
      lookup = value
    },
  })
}

/** What was found out, once for the process, since all its clients are one kafkajs. */
const checks = new Map<string, Promise<boolean>>()

/** Whether ours and theirs are alike; tells it the first time that they are not. */
function areAlike(what: string, compare: () => Promise<boolean>, warn: Warn): Promise<boolean> {
  let check = checks.get(what)
  if (check === undefined) {
    check = compare()
      .catch(() => false)
      .then((alike) => {
        if (!alike) warn(`kafkajs ${what} otherwise than expected; it is left to do so itself`)
        return alike
      })
    checks.set(what, check)
  }
  return check
}

function encoded(make: (options: unknown) => ProtocolRequest, options: unknown, warn: Warn): ProtocolRequest {
  const theirs = make(options)
  const { apiVersion } = theirs.request
  if (apiVersion < produceVersions.from || apiVersion > produceVersions.to || !isProduceOptions(options)) {
    return theirs
  }
  const compare = async () => {
    const [own, their] = [await produceRequest(known).encode(), await make(known).request.encode()]
    return own.buffer.equals(their.buffer)
  }
  const encode = async () =>
    (await areAlike(`encodes produce requests of version ${apiVersion}`, compare, warn))
      ? produceRequest(options).encode()
      : theirs.request.encode()
  return { ...theirs, request: { ...theirs.request, encode } }
}

function decoded(theirs: ProtocolRequest, warn: Warn): ProtocolRequest {
  const { request, response } = theirs
  if (request.apiVersion !== fetchVersion) return theirs
  const compare = async () => {
    const answer = await knownAnswer()
    return isDeepStrictEqual(await decodeFetchResponse(answer), await response.decode(answer))
  }
  const decode = async (answer: Buffer): Promise<unknown> => {
    if (!(await areAlike('decodes fetches', compare, warn))) return response.decode(answer)
    try {
      return await decodeFetchResponse(answer)
    } catch (error) {
      if (error instanceof OlderFormat) return response.decode(answer)
      throw error
    }
  }
  return { ...theirs, response: { ...response, decode } }
}

/** Shows whatever could differ: a key, a null, bytes, headers of one and of several values, numbers of several bytes. */
const known: ProduceOptions = {
  acks: -1,
  timeout: 1000,
  transactionalId: null,
  producerId: '7',
  producerEpoch: 1,
  compression: 0,
  topicData: [
    {
      topic: 'known',
      partitions: [
        {
          partition: 3,
          firstSequence: 300,
          messages: [
            {
              key: 'k',
              value: Buffer.from('v'),
              headers: { a: '1', b: ['2', 'ä'] },
              timestamp: '1700000000000',
            },
            { key: null, value: null, headers: {}, timestamp: '1700000000070' },
          ],
        },
      ],
    },
  ],
}

/** Of that request, what stands before its one batch, and of the response. */
const produceHead = 2 + 2 + 4 + 4 + (2 + 'known'.length) + 4 + 4 + 4

async function knownAnswer(): Promise<Buffer> {
  const { buffer } = await produceRequest(known).encode()
  const batch = buffer.subarray(produceHead)
  const int = (bytes: number, value: number) => {
    const part = Buffer.alloc(bytes)
    part.writeIntBE(value, Math.max(0, bytes - 6), Math.min(6, bytes))
    return part
  }
  const name = Buffer.from('known')
  return Buffer.concat([
    // The throttle time, no error, no session, one topic.
    ...[int(4, 5), int(2, 0), int(4, 0), int(4, 1), int(2, name.length), name],
    // One partition without error; its high watermark, last stable and first offsets.
    ...[int(4, 1), int(4, 3), int(2, 0), int(8, 12), int(8, 11), int(8, 1)],
    // An aborted transaction, and no preferred replica.
    ...[int(4, 1), int(8, 9), int(8, 4), int(4, 7), int(4, batch.length), batch],
  ])
}
