import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

/** As much of a Confluent Schema Registry as this example needs, in this process. */
export async function startRegistry() {
  const schemas: string[] = []
  let isAway = false
  const server = createServer(async (request, response) => {
    const { method = '', url = '' } = request
    const answer = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
      response.end(JSON.stringify(body))
    }
    if (isAway) return answer(503, { error_code: 503, message: 'away' })
    const id = /^\/schemas\/ids\/(\d+)/.exec(url)?.[1]
    if (method === 'GET' && id !== undefined) {
      const schema = schemas[Number(id) - 1]
      return schema === undefined
        ? answer(404, { error_code: 40403, message: 'Schema not found' })
        : answer(200, { schema })
    }
    if (method === 'POST' && /^\/subjects\/[^/]+\/versions$/.test(url)) {
      const { schema } = JSON.parse(await text(request))
      if (!schemas.includes(schema)) schemas.push(schema)
      return answer(200, { id: schemas.indexOf(schema) + 1 })
    }
    return url.startsWith('/config')
      ? answer(200, { compatibilityLevel: 'BACKWARD' })
      : answer(404, { error_code: 404, message: 'Not found' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The registry has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    setAway(away: boolean) {
      isAway = away
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
