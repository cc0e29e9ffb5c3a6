import type { Socket } from 'node:net'
import type { ConnectionInside, RequestQueueInside } from './insides.ts'

/**
 * kafkajs 2.2.4 sets a timer for requests that wait to be sent even when none does and nothing is throttled, and sets
 * it again when it fires: each connection ever used keeps a timer firing every millisecond, and current versions of
 * Node warn of a negative timeout. The timer is needed only while requests wait; then it is left as it is.
 */
function quieten(queue: RequestQueueInside): void {
  const schedule = queue.scheduleCheckPendingRequests
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule.call(queue)
  }
}

/** Of the length that precedes each response (Kafka protocol guide, "Protocol Primitive Types"). */
const lengthBytes = 4

/**
 * kafkajs 2.2.4 keeps what it has of a response when its connection is lost, and takes the first bytes of the next
 * connection for the rest of it: what comes is read at the wrong place, which throws out of the socket's event or waits for
 * bytes that never come. And an old socket's last events end the new connection. Who asks while it connects waits for the same
 * connection: kafkajs would open a second socket, and the timer of the first would end the connection that works.
 */
function connectAfresh(connection: ConnectionInside): void {
  const { connect } = connection
  let connecting: Promise<boolean> | undefined
  connection.connect = () => {
    if (connecting !== undefined) return connecting
    if (connection.connectionStatus === 'disconnected') {
      leave(connection.socket)
      connection.chunks = []
      connection.bytesBuffered = 0
      connection.bytesNeeded = lengthBytes
    }
    connecting = connect.call(connection).finally(() => {
      connecting = undefined
    })
    return connecting
  }
}

function leave(socket: Socket | undefined): void {
  if (socket === undefined) return
  for (const event of ['data', 'end', 'error', 'timeout']) socket.removeAllListeners(event)
  socket.on('error', () => {})
  socket.destroy()
}

/** Works around the faults on this connection only, and on no other of kafkajs's. */
export function mendConnection(connection: ConnectionInside): void {
  quieten(connection.requestQueue)
  connectAfresh(connection)
}
