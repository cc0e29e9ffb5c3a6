import { MessagingError } from '@waybill/core/driver'
import { Gateway } from '../client/gateway.ts'
import { toDriverError } from '../errors.ts'
import type { KafkaSettings } from '../options.ts'

/** Runs something against the broker; errors become `MessagingError`s. */
export type Administer = <Answer>(
  what: string,
  work: (gateway: Gateway) => Promise<Answer>,
) => Promise<Answer>

export interface LentGatewayOptions {
  readonly settings: KafkaSettings
  readonly instance: string
  readonly warn: (message: string) => void
  readonly onConnected: () => void
  readonly onDisconnected: (error: MessagingError) => void
}

interface Lease {
  readonly gateway: Gateway
  uses: number
  retired: boolean
}

/**
 * Lends the gateway out. One whose connection failed is replaced: core calls again. So is one that does not find a topic,
 * because kafkajs asks for the metadata of every topic it was ever asked about, and fails for good once one is deleted.
 */
export class LentGateway {
  readonly #options: LentGatewayOptions
  readonly #leases = new Set<Lease>()
  #current: Lease | undefined
  #isDown = false
  #closed = false

  constructor(options: LentGatewayOptions) {
    this.#options = options
  }

  get gateway(): Gateway | undefined {
    return this.#current?.gateway
  }

  readonly run: Administer = async (what, work) => {
    if (this.#closed) throw new MessagingError('closed', 'The connection to Kafka is closed')
    const lease = this.#lease()
    lease.uses += 1
    try {
      await lease.gateway.connect()
      const answer = await work(lease.gateway)
      this.#report(undefined)
      return answer
    } catch (thrown) {
      // A `MessagingError` is about what the broker answered, not about reaching it.
      if (!MessagingError.is(thrown)) this.#retire(lease)
      const error = toDriverError(thrown, `${what} failed`)
      if (error.code === 'disconnected' || error.code === 'timeout') this.#report(error)
      throw error
    } finally {
      lease.uses -= 1
      if (lease.gateway.hasDeleted) this.#retire(lease)
      if (lease.retired && lease.uses === 0) void this.#end(lease)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#leases].map((lease) => this.#end(lease)))
  }

  #lease(): Lease {
    if (this.#current !== undefined) return this.#current
    const { settings, instance, warn } = this.#options
    const lease: Lease = { gateway: new Gateway(settings, instance, warn), uses: 0, retired: false }
    this.#leases.add(lease)
    this.#current = lease
    return lease
  }

  #retire(lease: Lease): void {
    lease.retired = true
    if (this.#current === lease) this.#current = undefined
  }

  async #end(lease: Lease): Promise<void> {
    this.#leases.delete(lease)
    await lease.gateway.close()
  }

  #report(error: MessagingError | undefined): void {
    const isDown = error !== undefined
    if (this.#closed || isDown === this.#isDown) return
    this.#isDown = isDown
    if (error === undefined) this.#options.onConnected()
    else this.#options.onDisconnected(error)
  }
}
