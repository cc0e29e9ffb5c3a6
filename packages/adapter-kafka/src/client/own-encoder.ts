import type { BrokerInside, LookupRequest, ProtocolRequest } from './insides.ts'
import { isProduceOptions, produceRequest } from './produce-request.ts'

/** Kafka protocol guide, "Produce API". */
const produceKey = 0
/** Versions of one format, that of record batches (the same). */
const produceVersions = { from: 3, to: 7 }

/** A request that shows whatever could differ: a key, a null, bytes, headers of one and of several values, compression off. */
const known = {
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

/** What the check of a version of the request found; for the process, since all its clients are one kafkajs. */
const checks = new Map<number, Promise<boolean>>()

/**
 * Has a broker's produce requests encoded by us, if one known request comes out byte for byte as kafkajs encodes it. kafkajs
 * makes a buffer of 512 bytes for each record and header, copies each record through five that grow, and cannot write a
 * header without value.
 */
export function encodeOurselves(broker: BrokerInside, warn: (message: string) => void): void {
  let lookup = broker.lookupRequest
  const ours: LookupRequest = (apiKey, definition) => {
    const make = lookup(apiKey, definition)
    if (apiKey !== produceKey) return make
    return (options) => withOurs(make, options, warn)
  }
  // kafkajs sets it anew whenever it has asked a broker for its versions.
  Object.defineProperty(broker, 'lookupRequest', {
    get: () => ours,
    set: (value: LookupRequest) => {
      lookup = value
    },
  })
}

function withOurs(
  make: (options: unknown) => ProtocolRequest,
  options: unknown,
  warn: (message: string) => void,
): ProtocolRequest {
  const theirs = make(options)
  const { apiVersion } = theirs.request
  if (apiVersion < produceVersions.from || apiVersion > produceVersions.to || !isProduceOptions(options)) {
    return theirs
  }
  const encode = async () => {
    let check = checks.get(apiVersion)
    if (check === undefined) {
      check = isEncodedAlike(make)
      checks.set(apiVersion, check)
      if (!(await check))
        warn('kafkajs encodes a known record otherwise than expected; its own encoder is used')
    }
    return (await check) ? produceRequest(options).encode() : theirs.request.encode()
  }
  return { ...theirs, request: { ...theirs.request, encode } }
}

async function isEncodedAlike(make: (options: unknown) => ProtocolRequest): Promise<boolean> {
  try {
    const { buffer } = await make(known).request.encode()
    const own = await produceRequest(known).encode()
    return own.buffer.equals(buffer)
  } catch {
    return false
  }
}
