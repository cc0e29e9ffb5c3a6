import { createServer } from 'node:net'

/**
 * Below the range from which Linux takes the ports of outgoing connections (32768 and up, ip(7)): a port
 * chosen here is not taken by one of those while a broker restarts.
 */
const LOWEST = 20_000
const HIGHEST = 32_000
const ATTEMPTS = 50
const handedOut = new Set<number>()

/** A TCP port that nothing listens on now, and that this process has not been given before. */
export async function chooseFreePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
    if (handedOut.has(port) || !(await isFree(port))) continue
    handedOut.add(port)
    return port
  }
  throw new Error(`No free TCP port found between ${LOWEST} and ${HIGHEST} in ${ATTEMPTS} attempts`)
}

export async function chooseFreePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = []
  while (ports.length < count) ports.push(await chooseFreePort())
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
