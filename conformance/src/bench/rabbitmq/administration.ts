import { connect, type GetMessage } from 'amqplib'
import type { RunningBroker } from '../brokers/index.ts'

export type PlainChannel = Awaited<ReturnType<Awaited<ReturnType<typeof connect>>['createConfirmChannel']>>

/** The broker behind the SDK's back: a plain client and `rabbitmqctl`. */
export class Administration {
  readonly #broker: RunningBroker

  constructor(broker: RunningBroker) {
    this.#broker = broker
  }

  /** On a connection of its own, one for each use: cases restart the broker. */
  async plainly<Value>(use: (channel: PlainChannel) => Promise<Value>): Promise<Value> {
    const connection = await connect(this.#broker.url)
    try {
      return await use(await connection.createConfirmChannel())
    } finally {
      await connection.close()
    }
  }

  /** Takes all that waits in the queues, one after the other. */
  takeAll(...queues: readonly string[]): Promise<GetMessage[]> {
    return this.plainly(async (channel) => {
      const taken: GetMessage[] = []
      for (const queue of queues) {
        for (;;) {
          const message = await channel.get(queue, { noAck: true })
          if (message === false) break
          taken.push(message)
        }
      }
      return taken
    })
  }

  async control(...command: readonly string[]): Promise<string> {
    const { exitCode, output } = await this.#broker.exec(['rabbitmqctl', '-q', ...command])
    if (exitCode !== 0) throw new Error(`rabbitmqctl ${command.join(' ')} failed: ${output}`)
    return output
  }

  /** The lines of one of the `list_` commands, each as its columns. */
  async list(...command: readonly string[]): Promise<string[][]> {
    const lines = (await this.control(...command, '--no-table-headers')).split('\n')
    return lines.filter((line) => line !== '').map((line) => line.split('\t'))
  }

  async queuesBeginningWith(prefix: string): Promise<string[]> {
    return (await this.list('list_queues', 'name')).flatMap(([name = '']) =>
      name.startsWith(prefix) ? [name] : [],
    )
  }
}
