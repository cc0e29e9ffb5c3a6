import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { systemClock } from '../lib/clock.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { type Size, sizeOption } from '../lib/size.ts'
import { hasFunctions, lazily, parseOptions } from '../lib/validation.ts'
import type { Stage } from '../messages/stage.ts'
import { type Claim, formatClaim, parseClaim } from './claim.ts'
import type { ClaimStore } from './claim-store.ts'

export interface ClaimCheckOptions {
  /** Where bodies are kept: `fileStore(…)`, `s3Store(…)` of `@waybill/s3`, or one of your own. */
  readonly store: ClaimStore
  /** Stores in which bodies may be from before: asked after `store`, never written to. Default: none. */
  readonly formerStores?: readonly ClaimStore[]
  /** Bodies of at most this size travel as they are. Default: `200kb`. */
  readonly above?: Size
  /**
   * `by-age`: the store alone removes bodies, after its own time. `when-done`: also as soon as every group that the sender's
   * topic declares, and that takes the type, is done with the message; who else reads it then finds nothing: groups that are not
   * declared, broadcasts, and groups that go back by `seek`. Default: `by-age`.
   */
  readonly remove?: 'by-age' | 'when-done'
}

const isStore = (value: unknown): value is ClaimStore => hasFunctions(value, ['put', 'get', 'remove'])

const storeSchema = lazily(() =>
  z.custom<ClaimStore>(
    isStore,
    'expected a store such as fileStore(…): an object with the functions put, get and remove',
  ),
)

const optionsSchema = lazily(() =>
  z.strictObject({
    store: storeSchema(),
    formerStores: z.array(storeSchema()).default([]),
    above: sizeOption().default(200 * 1024),
    remove: z.enum(['by-age', 'when-done']).default('by-age'),
  }),
)

/**
 * Keeps bodies above a size in a store, and sends a claim in their place, so that no broker's limit of size matters. A message whose
 * body is gone is an `undecodable` dead letter that says so; while the store is away, messages wait. Bodies are kept as
 * they come: put it last, after `compress` and `encrypt`.
 *
 * @example
 * const store = fileStore('/var/lib/shop/bodies', { keepFor: '30d' })
 * const bus = await connect({ url, stages: [claimCheck({ store, above: '200kb' })] })
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function claimCheck(options: ClaimCheckOptions): Stage {
  const { store, formerStores, above, remove } = parseOptions(optionsSchema(), options, 'claimCheck options')
  const stores = [store, ...formerStores]
  return {
    name: 'claim-check',
    async apply(body, { groups }) {
      if (body.byteLength <= above) return undefined
      const id = newClaimId()
      await asked(`keep the body ${id}`, () => store.put(id, body))
      // Some brokers carry no empty bodies, and people who look into a queue should see what this is.
      return {
        body: Buffer.from(`claim ${id}`),
        note: formatClaim({ id, groups: remove === 'when-done' ? groups : [] }),
      }
    },
    async undo(_body, note) {
      const claim = parseClaim(note)
      if (claim === undefined)
        throw new Error(`the note "${note.slice(0, 200)}" is none that claimCheck() writes`)
      for (const each of stores) {
        const body = await asked(`get the body ${claim.id}`, () => each.get(claim.id))
        if (body !== undefined && body !== null) return body
      }
      throw new Error(gone(claim))
    },
    async done(note, { group }) {
      const claim = parseClaim(note)
      if (claim !== undefined) await markDone(stores, claim, group)
    },
  }
}

/** A date, by which stores sweep; random rather than ordered, because ids are all that it takes to get a body. */
function newClaimId(): string {
  return `${new Date(systemClock.now()).toISOString().slice(0, 'YYYY-MM-DD'.length)}/${randomUUID()}`
}

/**
 * Removes the body if this was the last group. Of groups that finish at the same moment at least one sees the marks of all;
 * what a group marks after that is left to age.
 */
async function markDone(stores: readonly ClaimStore[], { id, groups }: Claim, group: string): Promise<void> {
  const own = groups.indexOf(group)
  const [store] = stores
  if (own < 0 || store === undefined) return
  const others = groups.map((_name, index) => index).filter((index) => index !== own)
  const markOf = (index: number) => `${id}.done-${index}`
  if (others.length > 0) {
    await asked(`mark the body ${id} as done`, () => store.put(markOf(own), Buffer.from(group)))
  }
  for (const index of others) {
    if ((await asked(`look at the marks of ${id}`, () => store.get(markOf(index)))) === undefined) return
  }
  // The body first: marks without a body are harmless.
  for (const each of stores) await asked(`remove the body ${id}`, () => each.remove(id))
  if (others.length === 0) return
  for (const index of groups.keys()) {
    await asked(`remove the marks of ${id}`, () => store.remove(markOf(index)))
  }
}

async function asked<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask()
  } catch (error) {
    if (MessagingError.is(error)) throw error
    throw new MessagingError('failed', `The claim store could not ${what}: ${toError(error).message}`, {
      retryable: true,
      fate: 'not-sent',
      cause: error,
    })
  }
}

function gone({ id, groups }: Claim): string {
  const removed =
    groups.length === 0
      ? 'the store keeps bodies for too short a time'
      : `all of its groups (${groups.join(', ')}) were done with it, or the store keeps bodies for too short a time`
  return `its body ${id} is gone from the claim store: ${removed}, or this is another store than the sender’s`
}
