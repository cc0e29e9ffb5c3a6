import type { Bus, Message, Topic } from '@waybill/core'

/** How a message ended in a group: `duplicate` when its effect was there already. */
export type Ending = 'handled' | 'duplicate' | 'dead'

/** One group of one topic: what was sent to it, and what became of each. */
export class Account {
  readonly topic: string
  readonly group: string
  readonly sent = new Set<string>()
  readonly endings = new Map<string, Ending>()

  constructor(topic: string, group: string) {
    this.topic = topic
    this.group = group
  }

  /** For people, without the part of the topic's name that is of this run. */
  get name(): string {
    return `${this.topic.split('.').at(-1)} to ${this.group}`
  }

  /** Messages that have not ended yet. */
  get open(): number {
    return Math.max(0, this.sent.size - this.endings.size)
  }

  count(ending: Ending): number {
    return [...this.endings.values()].filter((each) => each === ending).length
  }
}

/**
 * Keeps book of every message in every group by watching the bus, so that nothing can go missing unseen. Brokers may
 * deliver a message more than once; it is booked once.
 */
export class Ledger {
  readonly accounts: readonly Account[]
  retries = 0
  /** Rises with whatever happens. */
  activity = 0

  constructor(bus: Bus, topics: readonly Topic[]) {
    this.accounts = topics.flatMap(({ name, groups }) => groups.map((group) => new Account(name, group.name)))
    bus
      .on('sent', ({ topic, message }) => {
        for (const account of this.accounts) if (account.topic === topic) account.sent.add(nameOf(message))
        this.activity += 1
      })
      .on('retried', () => {
        this.retries += 1
        this.activity += 1
      })
      .on('deadLettered', ({ topic, group, message }) => this.#book(topic, group, message, 'dead'))
      .on('duplicate', ({ topic, group, message, state }) => {
        if (state === 'done') this.#book(topic, group, message, 'duplicate')
      })
      .use({
        handle: async ({ topic, group, message }, next) => {
          await next()
          this.#book(topic, group, message, 'handled')
        },
      })
  }

  get open(): number {
    return this.accounts.reduce((sum, { open }) => sum + open, 0)
  }

  /** In all groups, or in one. */
  count(ending: Ending, group?: string): number {
    return this.#accountsOf(group).reduce((sum, account) => sum + account.count(ending), 0)
  }

  /** The group's dead letters are about to be replayed: they have not ended after all. */
  reopen(group: string): void {
    for (const { endings } of this.#accountsOf(group))
      for (const [name, ending] of endings) if (ending === 'dead') endings.delete(name)
  }

  #accountsOf(group: string | undefined): readonly Account[] {
    return this.accounts.filter((account) => group === undefined || account.group === group)
  }

  #book(topic: string, group: string, message: Message | undefined, ending: Ending): void {
    this.activity += 1
    const account = this.#accountsOf(group).find((each) => each.topic === topic)
    if (account === undefined || message === undefined) return
    const name = nameOf(message)
    if (account.endings.get(name) !== 'handled') account.endings.set(name, ending)
  }
}

/** An order that comes in twice is two messages of one id; the line it came from tells them apart. */
function nameOf({ id, metadata }: Message): string {
  return metadata.line ?? id
}
