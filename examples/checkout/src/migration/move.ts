import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, connect, type Topic } from '@waybill/core'
import { orders, payments } from '../messages.ts'
import { Customers } from './customers.ts'
import type { Effects, Job } from './jobs.ts'
import { Staff } from './staff.ts'

export interface Move {
  readonly from: string
  readonly to: string
  /** Who goes to the new broker first. */
  readonly first: 'producers' | 'consumers'
  readonly ordersFile: string
  /** A file for what each group has done already, shared by all services. */
  readonly database: string
  /** The part of the topics' names that is of this run. */
  readonly run: string
  readonly tell: (text: string) => void
}

export interface Moved {
  readonly customers: Customers
  readonly effects: readonly Effects[]
  /** Orders in billing's dead letters, at either broker. */
  readonly dead: ReadonlySet<string>
}

/** Moves the shop from one broker to another while it is open. */
export async function moveShop(move: Move): Promise<Moved> {
  await using shop = new Shop(move)
  return await (move.first === 'consumers' ? consumersFirst(move, shop) : producersFirst(move, shop))
}

/** How many orders services charge before the next step. In the end each side has done a good part of the work. */
const part = 100

async function consumersFirst({ from, to, ordersFile, tell }: Move, shop: Shop): Promise<Moved> {
  const [till, services] = [await shop.till(from), await shop.services(from)]
  const customers = await Customers.open(ordersFile, till)
  await shop.untilCharged(services, part)
  tell('The bridge opens. From the earliest message that the old broker still has, the new one gets a copy.')
  let bridge = await shop.bridge(from, to, true)
  tell('Services start at the new broker, beside those at the old one.')
  const newServices = await shop.services(to)
  bridge = await shop.killed(bridge, from, to, true)
  await shop.untilCharged(services, 2 * part)
  tell('The services at the old broker stop. What they have not done comes over the bridge.')
  const { effects: before } = await services.retire()
  bridge = await shop.killed(bridge, from, to, true)
  await shop.untilCharged(newServices, part)
  tell('The till closes for a moment; the bridge brings what it took.')
  await customers.closeTill()
  await till.retire()
  await bridge.ask({ kind: 'drain' })
  tell('The till opens at the new broker.')
  customers.openTill(await shop.till(to))
  await bridge.ask({ kind: 'drain' })
  await bridge.retire()
  tell('The bridge is closed. Nothing uses the old broker any more.')
  await shop.untilCharged(newServices, before.payments.length)
  await customers.goHome()
  await shop.untilNothingWaits(to)
  const { effects: after } = await newServices.retire()
  return { customers, effects: [before, after], dead: await shop.dead([from, to]) }
}

async function producersFirst({ from, to, ordersFile, tell }: Move, shop: Shop): Promise<Moved> {
  const [till, services] = [await shop.till(from), await shop.services(from)]
  const customers = await Customers.open(ordersFile, till)
  await shop.untilCharged(services, part)
  tell('The bridge opens, back from the new broker to the old one, where the services are.')
  let bridge = await shop.bridge(to, from, false)
  tell('The till moves to the new broker.')
  const newTill = await shop.till(to)
  await customers.closeTill()
  await till.retire()
  customers.openTill(newTill)
  bridge = await shop.killed(bridge, to, from, false)
  await shop.untilCharged(services, 2 * part)
  bridge = await shop.killed(bridge, to, from, false)
  tell('Services start at the new broker, beside those at the old one.')
  const newServices = await shop.services(to)
  tell('The bridge closes. The services at the old broker finish what was sent there.')
  await bridge.retire()
  await shop.untilNothingWaits(from)
  const { effects: before } = await services.retire()
  tell('Nothing uses the old broker any more.')
  await shop.untilCharged(newServices, before.payments.length)
  await customers.goHome()
  await shop.untilNothingWaits(to)
  const { effects: after } = await newServices.retire()
  return { customers, effects: [before, after], dead: await shop.dead([from, to]) }
}

/** The processes of the shop. What still runs when it is disposed of is killed. */
class Shop implements AsyncDisposable {
  readonly #move: Move
  readonly #staff: Staff[] = []
  readonly #buses = new Map<string, Promise<Bus>>()

  constructor(move: Move) {
    this.#move = move
  }

  till(url: string): Promise<Staff> {
    return this.#hire({ role: 'till', url })
  }

  services(url: string): Promise<Staff> {
    return this.#hire({ role: 'services', url, database: this.#move.database })
  }

  bridge(from: string, to: string, fromBeginning: boolean): Promise<Staff> {
    return this.#hire({ role: 'bridge', from, to, fromBeginning })
  }

  /** The bridge dies without a word; another takes over. */
  async killed(bridge: Staff, from: string, to: string, fromBeginning: boolean): Promise<Staff> {
    await bridge.kill()
    this.#move.tell('(The bridge was killed. Another one starts.)')
    return this.bridge(from, to, fromBeginning)
  }

  /** Resolves once these services have charged so many orders. */
  async untilCharged(services: Staff, count: number): Promise<void> {
    while ((await services.ask({ kind: 'charged' })).count < count) await sleep(100)
  }

  /** Resolves when nothing waits at the broker, is being handled or is to be tried again. */
  async untilNothingWaits(url: string): Promise<void> {
    const bus = await this.#bus(url)
    const topics: readonly Topic[] = [orders, payments]
    const groups = topics.flatMap((topic) => topic.groups.map(({ name }) => bus.group(topic, name)))
    for (let quiet = 0; quiet < 4; await sleep(250)) {
      const stats = await Promise.all(groups.map((group) => group.stats()))
      const left = stats.flatMap(({ waiting, inFlight, delayed }) => [waiting, inFlight, delayed])
      quiet = left.every((count) => (count ?? 0) === 0) ? quiet + 1 : 0
    }
  }

  async dead(urls: readonly string[]): Promise<ReadonlySet<string>> {
    const ids = new Set<string>()
    for (const url of urls) {
      const bus = await this.#bus(url)
      for await (const { message } of bus.group(orders, 'billing').deadLetters.list()) {
        if (message !== undefined) ids.add(message.id)
      }
    }
    return ids
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#staff.map((each) => each.kill()))
    for (const bus of this.#buses.values()) await (await bus).close()
  }

  async #hire(job: Job): Promise<Staff> {
    const staff = new Staff(job, this.#move.run)
    this.#staff.push(staff)
    await staff.ready
    return staff
  }

  #bus(url: string): Promise<Bus> {
    const bus =
      this.#buses.get(url) ?? connect({ url, topics: [orders, payments], console: false, timeout: '1m' })
    this.#buses.set(url, bus)
    return bus
  }
}
