import type { Socket } from 'node:net'

/**
 * Ends a connection with a RST. One whose end is being written cannot be reset (EINVAL); Node then never closes it, and the
 * process spins at its exit instead of ending (seen on Node 24). That one is closed at once as it is.
 */
export function resetConnection(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}
