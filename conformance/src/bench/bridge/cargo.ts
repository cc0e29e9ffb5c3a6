import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, defineMessage, defineTopic, type Message, type Topic } from '@waybill/core'
import { compress, encrypt } from '@waybill/core/stages'
import { sendUndecoded, type UndecodedMessage, undecodedTopic } from '@waybill/core/tools'
import { z } from 'zod'
import type { CaseContext } from '../../case/case-context.ts'
import { connectTo, type End } from './ends.ts'
import { Manifest } from './manifest.ts'

const group = 'witness'
const keys = 8
const delayMs = 2000
/** How many may be on their way. */
const mostUnderWay = 400

const schema = z.object({ n: z.number(), padding: z.string() })
const secret = { keys: { 'key-1': randomBytes(32) }, use: 'key-1' }

/** Messages of all kinds on an ordered topic and on one that is not, written down where they are sent and where they arrive. */
export class Cargo {
  readonly topics: readonly Topic[]
  readonly #context: CaseContext
  readonly #source: Bus
  readonly #there: Manifest
  readonly #here: Manifest
  readonly #perKey = new Map<string, number>()
  readonly #perTopic = new Map<Topic, number>()
  #sent = 0
  #isOver = false
  #loading: Promise<void> | undefined

  private constructor(
    context: CaseContext,
    topics: readonly Topic[],
    source: Bus,
    manifests: { readonly here: Manifest; readonly there: Manifest },
  ) {
    this.#context = context
    this.topics = topics
    this.#source = source
    this.#here = manifests.here
    this.#there = manifests.there
  }

  static async open(context: CaseContext, from: End, to: End): Promise<Cargo> {
    const topics = [false, true].map((ordered) =>
      defineTopic(context.unique(ordered ? 'ordered' : 'plain'), { ordered, partitions: 4, groups: [group] }),
    )
    const open = async (end: End) => {
      const bus = await connectTo(context, end, { topics })
      const manifest = new Manifest()
      const consumer = bus.consumer(group, { concurrency: 50, lease: '5s' })
      for (const topic of topics) {
        consumer.on(undecodedTopic(topic, topic.groups), '#', (message) => manifest.enter(topic, message))
      }
      await consumer.start()
      return { bus, manifest }
    }
    const [source, target] = await Promise.all([open(from), open(to)])
    const cargo = new Cargo(context, topics, source.bus, { here: source.manifest, there: target.manifest })
    context.defer(() => cargo.#end())
    return cargo
  }

  get names(): readonly string[] {
    return this.topics.map(({ name }) => name)
  }

  get sent(): number {
    return this.#sent
  }

  get arrived(): number {
    return this.#there.size
  }

  get duplicates(): number {
    return this.#there.duplicates
  }

  /** Sends so many now. */
  async send(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 20) await this.#wave(Math.min(20, left))
  }

  /** Sends until `arrive` is called. */
  load(): void {
    const run = async () => {
      while (!this.#isOver) {
        if (this.#sent - this.arrived > mostUnderWay) await sleep(20)
        else await this.#wave(20)
        await sleep(100)
      }
    }
    this.#loading = run()
    this.#loading.catch(() => {})
  }

  /** Waits until everything that was sent is there, and holds it against what was sent. */
  async arrive(): Promise<void> {
    await this.#end()
    const all = (manifest: Manifest) => () => manifest.size >= this.#sent
    await this.#context.eventually('the source has all', all(this.#here), 60_000, () => this.#here.size)
    await this.#context.eventually('the target has all', all(this.#there), 60_000, () => this.#there.size)
    for (const [number, entry] of this.#there.entries) {
      const original = this.#here.entries.get(number)
      assert.ok(original !== undefined, `nobody has sent ${number}`)
      assert.deepEqual(comparable(entry.message), comparable(original.message), `${number} has changed`)
      assert.equal(entry.ids.size, 1, `${number} has several ids: ${[...entry.ids].join(', ')}`)
      const due = entry.message.data.headers.due
      if (due !== undefined)
        assert.ok(entry.receivedAt >= Number(due) - 3, `${number} came before it was due`)
    }
    assert.deepEqual(this.#here.disorder(), [], 'the source has another order than the sender')
    assert.deepEqual(this.#there.disorder(), [], 'the target has another order than the sender')
  }

  async #end(): Promise<void> {
    this.#isOver = true
    await this.#loading
  }

  async #wave(count: number): Promise<void> {
    await Promise.all(
      this.topics.flatMap((topic) => Array.from({ length: count / 2 }, () => this.#one(topic))),
    )
  }

  async #one(topic: Topic): Promise<void> {
    this.#sent += 1
    const number = String(this.#sent)
    const ofTopic = (this.#perTopic.get(topic) ?? 0) + 1
    this.#perTopic.set(topic, ofTopic)
    const kind = ofTopic % 10
    // Of every kind, each key has some.
    const key = `key-${(ofTopic + Math.floor(ofTopic / 10)) % keys}`
    if (kind === 0) return this.#foreign(topic, number, 'text/plain; charset=latin1')
    if (kind === 1) return this.#foreign(topic, number, undefined)
    const position = (this.#perKey.get(`${topic.name} ${key}`) ?? 0) + 1
    this.#perKey.set(`${topic.name} ${key}`, position)
    const isSecret = kind === 2
    const stages = isSecret ? [compress({ above: 1 }), encrypt(secret)] : []
    const definition = defineMessage(topic, `cargo.${isSecret ? 'secret' : 'open'}`, { schema, stages })
    const isDelayed = kind === 3 && !topic.ordered
    // It may overtake.
    const hasPriority = this.#source.capabilities.priority && !topic.ordered
    const metadata = {
      number,
      position: String(position),
      'x-note': 'ж 🏝',
      ...(isDelayed && { due: String(Date.now() + delayMs) }),
    }
    await this.#source.producer({ source: 'quay' }).send(
      definition,
      { n: this.#sent, padding: 'ä'.repeat(kind * 10) },
      {
        key,
        metadata,
        ...(isDelayed && { delay: delayMs }),
        ...(kind === 4 && { expiresIn: '1h' }),
        ...(kind === 5 && hasPriority && { priority: 7 }),
      },
    )
  }

  async #foreign(topic: Topic, number: string, contentType: string | undefined): Promise<void> {
    const data: UndecodedMessage = {
      ...{ id: undefined, type: undefined, key: undefined, timestamp: undefined, expiresAt: undefined },
      attributes: {},
      headers: { number, 'X-Custom': '"quoted", é' },
      body: Buffer.concat([Buffer.from([0, 255, 13, 10]), Buffer.from(number)]),
      contentType,
      lasting: {},
    }
    const message: Message<UndecodedMessage> = {
      ...{ id: crypto.randomUUID(), type: 'cargo.foreign', version: 1, timestamp: new Date(), data },
      metadata: { source: 'somewhere' },
    }
    await sendUndecoded(this.#source.producer(), undecodedTopic(topic, topic.groups), message)
  }
}

/** What must be the same on both sides. Of a foreign message each transport says its own id and time. */
function comparable(message: Message<UndecodedMessage>) {
  const { type, key, timestamp, expiresAt, data } = message
  const { body, contentType, attributes, headers, lasting } = data
  const {
    'waybill-bridged': _route,
    'waybill-id': _id,
    'waybill-time': _time,
    'waybill-subject': _subject,
    ...kept
  } = lasting
  const isEvent = attributes.specversion !== undefined
  return {
    ...(isEvent && { id: message.id, type, key, timestamp, expiresAt }),
    ...{ contentType, attributes, headers, kept },
    body: Buffer.from(body).toString('base64'),
  }
}
