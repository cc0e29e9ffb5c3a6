import { open } from 'node:fs/promises'
import { InvalidMessageError, type Producer } from '@waybill/core'
import { type Order, OrderPlaced } from './messages.ts'

/** What the checkout did with its customers' requests. */
export interface Till {
  read: number
  readonly refused: { readonly line: number; readonly why: string }[]
  /** The orders it took, by id. */
  readonly accepted: Map<string, Order>
  /** How often it was sent an order that it had already. */
  repeated: number
  /** How long each customer waited for the answer, in milliseconds. */
  readonly waits: number[]
}

export function newTill(): Till {
  return { read: 0, refused: [], accepted: new Map(), repeated: 0, waits: [] }
}

// Customers at the checkout at once.
const crowd = 100

/** Serves the requests of a file, one JSON object a line, until all have their answer. */
export async function serve(file: string, producer: Producer, till: Till): Promise<void> {
  await using requests = await open(file)
  const beingServed: Promise<void>[] = []
  let line = 0
  for await (const request of requests.readLines()) {
    line += 1
    if (request.trim() === '') continue
    till.read += 1
    beingServed.push(place(request, line, producer, till))
    if (beingServed.length === crowd) await Promise.all(beingServed.splice(0))
  }
  await Promise.all(beingServed)
  if (till.read === 0) throw new Error(`There are no orders in ${file}`)
}

/** Takes one order. The customer has the answer as soon as the broker has the message; the rest is for the consumers. */
export async function place(request: string, line: number, producer: Producer, till: Till): Promise<void> {
  const startedAt = performance.now()
  try {
    const order = JSON.parse(request)
    // Whatever the request says, `send` checks it against the schema. The order's id is the message's, so that an order
    // that comes in twice is known for what it is.
    const message = await producer.send(OrderPlaced, order, {
      id: order?.orderId,
      metadata: { line: String(line) },
    })
    if (till.accepted.has(message.id)) till.repeated += 1
    else till.accepted.set(message.id, message.data)
  } catch (error) {
    const why = reasonToRefuse(error)
    if (why === undefined) throw error
    till.refused.push({ line, why })
  }
  till.waits.push(performance.now() - startedAt)
}

/** Why the request itself is at fault; undefined when it is not. */
function reasonToRefuse(error: unknown): string | undefined {
  if (error instanceof SyntaxError) return `not JSON: ${error.message}`
  if (!(error instanceof InvalidMessageError)) return undefined
  return error.issues.map(({ path, message }) => `${path} ${message}`).join('; ')
}
