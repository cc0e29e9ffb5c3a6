import { once } from 'node:events'
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { buffer } from 'node:stream/consumers'

/** One request of a client, as the gateway saw it. */
export interface ServiceRequest {
  /** `ReceiveMessage`, `PublishBatch` … */
  readonly action: string
  /** The name of the queue or topic it is about, if any. */
  readonly about: string
  /** Members of SQS as they are, those of SNS by their flattened names. */
  readonly input: Readonly<Record<string, unknown>>
  /** When the client says it was signed, in milliseconds since the epoch. */
  readonly signedAt: number
}

/** What the service refuses with; `date` is what its clock shows. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly date?: Date
}

/** An answer in the service's place: a refusal, a reset connection, or the body of an answer of SQS. */
export type Injected = Refusal | 'reset' | { readonly answer: object }

/** Decides on a request; undefined lets it pass to the emulator. */
export type Rule = (request: ServiceRequest) => Injected | undefined

/**
 * Stands before an emulator of SQS and SNS, counts what is asked, and answers in its place where a rule says so: the
 * failures of the real services that no emulator shows.
 */
export class Gateway {
  readonly requests: ServiceRequest[] = []
  rule: Rule = () => undefined
  readonly #server: Server
  readonly #target: { readonly host: string; readonly port: number }
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })

  private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
    this.#server = server
    this.#target = target
    server.on('request', (incoming, response) => void this.#serve(incoming, response))
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<Gateway> {
    const server = createServer()
    const gateway = new Gateway(server, target)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return gateway
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The gateway does not listen')
    return `sqs+http://test:test@127.0.0.1:${address.port}?region=us-east-1`
  }

  countOf(...actions: readonly string[]): number {
    return this.requests.filter(({ action }) => actions.includes(action)).length
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
    this.#agent.destroy()
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await buffer(incoming)
      const seen = read(incoming, body)
      this.requests.push(seen)
      const injected = this.rule(seen)
      if (injected === undefined) this.#forward(incoming, body, response)
      else if (injected === 'reset') incoming.socket.resetAndDestroy()
      else inject(injected, incoming.headers['x-amz-target'] !== undefined, response)
    } catch {
      // The client went away in the middle.
      response.destroy()
    }
  }

  #forward(incoming: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const { method, url, headers } = incoming
    const outgoing = request(
      { ...this.#target, method, path: url, headers, agent: this.#agent },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.on('error', () => response.destroy())
        answer.pipe(response)
      },
    )
    outgoing.on('error', () => response.destroy())
    outgoing.end(body)
  }
}

function read({ headers }: IncomingMessage, body: Buffer): ServiceRequest {
  const target = headers['x-amz-target']
  const isJson = typeof target === 'string'
  const text = body.toString()
  const input: Record<string, unknown> = isJson
    ? JSON.parse(text)
    : Object.fromEntries(new URLSearchParams(text))
  const about = String(input.QueueName ?? input.QueueUrl ?? input.TopicArn ?? input.Name ?? '')
  return {
    action: isJson ? target.replace('AmazonSQS.', '') : String(input.Action),
    about: about.split(/[/:]/).at(-1) ?? '',
    input,
    signedAt: readDate(String(headers['x-amz-date'])),
  }
}

/** `20261128T234401Z` (Signature Version 4). */
function readDate(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

function inject(injected: Exclude<Injected, 'reset'>, isJson: boolean, response: ServerResponse): void {
  if ('answer' in injected) {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' })
    response.end(JSON.stringify(injected.answer))
    return
  }
  const { status, code, date } = injected
  response.writeHead(status, {
    'content-type': isJson ? 'application/x-amz-json-1.0' : 'text/xml',
    ...(date !== undefined && { date: date.toUTCString() }),
  })
  response.end(
    isJson
      ? JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message: 'injected' })
      : `<ErrorResponse><Error><Code>${code}</Code></Error></ErrorResponse>`,
  )
}
