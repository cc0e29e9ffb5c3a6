import { connect } from 'node:net'

const ANSWER_WITHIN_MS = 3_000

/**
 * Opens a TCP connection, sends some bytes and gives the first ones that come back. Fails when none come:
 * an open port alone proves nothing, since the engine's port forwarder accepts before the broker listens.
 */
export function exchange(host: string, port: number, request: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => socket.write(request))
    const end = (settle: () => void) => {
      clearTimeout(deadline)
      socket.destroy()
      settle()
    }
    const fail = (reason: string) => end(() => reject(new Error(`${host}:${port}: ${reason}`)))
    const deadline = setTimeout(() => fail(`no answer within ${ANSWER_WITHIN_MS} ms`), ANSWER_WITHIN_MS)
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('closed without an answer'))
    socket.on('data', (answer) => end(() => resolve(answer)))
  })
}
