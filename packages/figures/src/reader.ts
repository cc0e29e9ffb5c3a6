import type { Bus, Group, Topic } from '@waybill/core'
import { systemClock } from '@waybill/core/driver'
import { within } from '@waybill/core/driver-kit'
import {
  type CountedOutbox,
  connectionPart,
  consumersPart,
  groupPart,
  isOver,
  jobsPart,
  type MeasuredJobs,
  outboxPart,
  type Part,
  type Reading,
} from './parts.ts'

export interface ReaderSettings {
  readonly topics: readonly Topic[]
  readonly groups: readonly Group[]
  readonly outboxes: Readonly<Record<string, CountedOutbox>>
  readonly jobs: Readonly<Record<string, MeasuredJobs>>
  /** In milliseconds. */
  readonly maxAge: number
  /** In milliseconds. */
  readonly timeout: number
}

/** A part, and what is known of it. */
interface Asked {
  readonly part: Part
  /** Running, perhaps for longer than anybody waits: it is not asked again meanwhile. */
  asking: Promise<void> | undefined
  answer: { readonly at: number; readonly readings: readonly Reading[] } | undefined
}

// How many groups a broker is asked for at once.
const mostAtOnce = 4

/** Reads gauges, from the broker at most once in `maxAge`, and never for longer than `timeout`. */
export class Reader {
  readonly #asked: readonly Asked[]
  readonly #settings: ReaderSettings
  #reading: Promise<readonly Reading[]> | undefined

  /** Without a bus only outboxes and jobs are read. */
  constructor(bus: Bus | undefined, settings: ReaderSettings) {
    this.#settings = settings
    const { outboxes, jobs } = settings
    const ofBus = bus === undefined ? [] : [connectionPart(bus), ...groupsOf(bus, settings).map(groupPart)]
    const health = () => [
      ...(bus?.consumerHealth() ?? []),
      ...Object.values(jobs).flatMap((each) => each.workerHealth()),
    ]
    const stored = Object.entries(outboxes).map(([name, outbox]) => outboxPart(name, outbox))
    const added = Object.entries(jobs).map(([name, each]) => jobsPart(name, each))
    this.#asked = [consumersPart(health), ...ofBus, ...stored, ...added].map((part) => ({
      part,
      asking: undefined,
      answer: undefined,
    }))
  }

  /** Never rejects. Those who read at the same time get the same readings. */
  read(): Promise<readonly Reading[]> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<readonly Reading[]> {
    const { maxAge, timeout } = this.#settings
    const oldest = systemClock.monotonic() - maxAge
    const isFresh = ({ answer }: Asked) => answer !== undefined && answer.at >= oldest
    const due = this.#asked.filter((each) => !isFresh(each))
    await within(systemClock, timeout, askAll(due))
    return this.#asked.flatMap((each) => (isFresh(each) ? (each.answer?.readings ?? []) : each.part.absent))
  }
}

/** Those that the broker can be asked for. */
function groupsOf(bus: Bus, { topics, groups }: ReaderSettings): readonly Group[] {
  if (!bus.capabilities.stats) return []
  const declared = topics.flatMap((topic) => topic.groups.map(({ name }) => bus.group(topic, name)))
  const all = new Map([...declared, ...groups].map((group) => [`${group.topic.name}\n${group.name}`, group]))
  return [...all.values()]
}

async function askAll(due: readonly Asked[]): Promise<void> {
  const waiting = due.values()
  const ask = async () => {
    for (const each of waiting) {
      each.asking ??= answerOf(each)
      await each.asking
    }
  }
  await Promise.all(Array.from({ length: mostAtOnce }, ask))
}

async function answerOf(asked: Asked): Promise<void> {
  try {
    asked.answer = { readings: await asked.part.read(), at: systemClock.monotonic() }
  } catch (error) {
    // Its absence tells that it failed. A bus that is closed is no group that cannot be counted.
    asked.answer = isOver(error) ? { readings: [], at: systemClock.monotonic() } : undefined
  }
  asked.asking = undefined
}
