import type { BenchmarkEvent } from './event.ts'

export const brokers = ['rabbitmq', 'kafka', 'redis', 'sqs'] as const
export type Broker = (typeof brokers)[number]

/** Where a contender's messages go. A name is used once: what is not there is made, and is empty. */
export interface Destination {
  readonly broker: Broker
  readonly url: string
  readonly name: string
  /** Messages of one key are handled one after the other, in the order they were sent. */
  readonly ordered: boolean
}

/**
 * One way to use a broker. Modules of contenders import their client when it is asked for, so that the cold start can
 * be measured.
 */
export interface Contender {
  /** What a successful `send` and a handled message are worth, and what is particular about this way. */
  readonly guarantees: string
  /** The works it takes part in, as letters. */
  readonly works: string
  setup(destination: Destination): Promise<Participant>
  /** Imports the client, calls `imported`, connects, calls `connected`; the result closes the connection. For (h). */
  coldStart?(url: string, marks: ColdStartMarks): Promise<() => Promise<unknown>>
}

export interface ColdStartMarks {
  imported(): void
  connected(): void
}

/** A contender at work on one destination. */
export interface Participant {
  /** Resolves when the broker has taken responsibility. */
  send(event: BenchmarkEvent): Promise<void>
  /**
   * Handles what is there and what comes, at most `concurrency` at once, and settles each after its handler resolved.
   * The result stops it: whatever was handled is settled then.
   */
  consume(handle: Handle, concurrency: number): Promise<() => Promise<void>>
  /** How many messages the broker still holds for the group. */
  remaining(): Promise<number>
  /** Closes the connections. */
  teardown(): Promise<void>
}

export type Handle = (event: BenchmarkEvent) => Promise<void>
