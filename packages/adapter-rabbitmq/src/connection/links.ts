import type { DriverContext } from '@waybill/core/driver'
import type { ChannelModel } from '../client/amqplib.ts'
import type { RabbitmqSettings } from '../options.ts'
import { Link } from './link.ts'

/** The two connections of a bus, and the events about them. */
export class Links {
  /** Apart from the other one, because the broker stops reading from a connection that publishes too much. */
  readonly publishing: Link
  /** For everything but publishing. */
  readonly consuming: Link
  /** Called when one of them is lost. */
  onLost: () => void = () => undefined
  readonly #context: DriverContext
  readonly #lost = new Set<Link>()

  constructor(settings: RabbitmqSettings, context: DriverContext) {
    this.#context = context
    this.publishing = this.#make('publishing', settings)
    this.consuming = this.#make('consuming', settings)
  }

  /** Both; the result is the consuming one. */
  async open(): Promise<ChannelModel> {
    const { signal } = this.#context
    const [model] = await Promise.all([this.consuming.open(signal), this.publishing.open(signal)])
    return model
  }

  async close(): Promise<void> {
    await Promise.all([this.publishing.close(), this.consuming.close()])
  }

  #make(role: 'publishing' | 'consuming', settings: RabbitmqSettings): Link {
    const { emit } = this.#context
    const link: Link = new Link(role, settings, this.#context, {
      onOpened: () => {
        if (!this.#lost.delete(link)) return
        if (this.#lost.size === 0) emit({ type: 'connected' })
        // The other connection was probably lost for the same reason and can be reopened too; if not, its next user
        // gets the error.
        for (const other of this.#lost) void other.open().catch(() => undefined)
      },
      onLost: (error) => {
        this.onLost()
        if (this.#lost.size === 0) emit({ type: 'disconnected', error })
        this.#lost.add(link)
      },
    })
    return link
  }
}
