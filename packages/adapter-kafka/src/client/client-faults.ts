import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { Broker } from 'kafkajs'

const load = createRequire(import.meta.url)

interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

const patched = new Set<string>()

/** Changes what all objects of a class of kafkajs have, once. */
function patch<Prototype>(path: string, change: (prototype: Prototype) => void): void {
  if (patched.has(path)) return
  patched.add(path)
  const { prototype }: { readonly prototype: Prototype } = load(path)
  change(prototype)
}

/**
 * kafkajs 2.2.4 sets a timer for requests that wait to be sent even when none does and nothing is throttled, and sets it
 * again when it fires: a loop of a millisecond for each connection that was ever used, and on current Node a warning of a
 * negative timeout. The timer is needed only while requests wait; then it is left as it is.
 */
export function quietenRequestQueues(): void {
  patch<RequestQueue>('kafkajs/src/network/requestQueue/index.js', (prototype) => {
    const schedule = prototype.scheduleCheckPendingRequests
    prototype.scheduleCheckPendingRequests = function scheduleIfAnyWait() {
      if (this.pending.length > 0) schedule.call(this)
    }
  })
}

/** A connection to a broker, which is connected again when it was lost. */
export interface Connection {
  connectionStatus: string
  socket?: Socket
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  connect(): Promise<boolean>
}

/** Of the length that precedes each response (Kafka protocol guide, "Protocol Primitive Types"). */
const lengthBytes = 4

/**
 * kafkajs 2.2.4 keeps what it has of a response when its connection is lost, and takes the first bytes of the next
 * connection for the rest of it: what comes is read at the wrong place, which throws out of the socket's event or waits for
 * bytes that never come. And an old socket's last events end the new connection.
 */
export function connectAfresh(): void {
  patch<Connection>('kafkajs/src/network/connection.js', (prototype) => {
    const { connect } = prototype
    prototype.connect = function connectWithNothingLeft() {
      if (this.connectionStatus === 'disconnected') {
        leave(this.socket)
        this.chunks = []
        this.bytesBuffered = 0
        this.bytesNeeded = lengthBytes
      }
      return connect.call(this)
    }
  })
}

function leave(socket: Socket | undefined): void {
  if (socket === undefined) return
  for (const event of ['data', 'end', 'error', 'timeout']) socket.removeAllListeners(event)
  socket.on('error', () => {})
  socket.destroy()
}

/**
 * Takes a member out of its group on its behalf. A member whose connection is gone cannot leave, and its successor would
 * wait until its session has run out. kafkajs can send the request, and does not list it among the methods of a broker.
 */
export async function leaveGroup(broker: Broker, groupId: string, memberId: string): Promise<void> {
  if (canLeave(broker)) await broker.leaveGroup({ groupId, memberId })
}

interface CanLeave {
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>
}

function canLeave(broker: Broker): broker is Broker & CanLeave {
  return 'leaveGroup' in broker && typeof broker.leaveGroup === 'function'
}

/** The offset after the latest record (Kafka protocol guide, "ListOffsets API"). */
const latest = '-1'

/** Asks a broker for the ends of partitions that it leads. Another request that kafkajs can send and does not list. */
export async function askForLatest(
  broker: Broker,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): Promise<void> {
  if (!canListOffsets(broker)) return
  const names = [...new Set(partitions.map(({ topic }) => topic))]
  await broker.listOffsets({
    isolationLevel: 1,
    topics: names.map((name) => ({
      topic: name,
      partitions: partitions
        .filter(({ topic }) => topic === name)
        .map(({ partition }) => ({ partition, timestamp: latest })),
    })),
  })
}

interface CanListOffsets {
  listOffsets(request: {
    readonly isolationLevel: number
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number; readonly timestamp: string }[]
    }[]
  }): Promise<unknown>
}

function canListOffsets(broker: Broker): broker is Broker & CanListOffsets {
  return 'listOffsets' in broker && typeof broker.listOffsets === 'function'
}
