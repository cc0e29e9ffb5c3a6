import { z } from 'zod'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import type { Codec } from '../messages/codec.ts'
import { objectIn, textOf, timeOf } from './json-body.ts'

export interface EventBridgeOptions {
  /** The type, from `detail-type` and `source`. Default: `detail-type` with each run of white space as one `-`. */
  readonly type?: (event: { readonly detailType: string; readonly source: string }) => string
}

const optionsSchema = lazily(() => z.strictObject({ type: functionSchema().optional() }))

/**
 * Events as EventBridge delivers them (Amazon EventBridge documentation, "Event structure"): the data is the `detail`, and
 * `account`, `region` and `resources` are metadata. Only for reading.
 *
 * ```ts
 * const orders = defineTopic('orders', { codec: eventBridge() })
 * const OrderPlaced = defineMessage(orders, 'OrderPlaced', { schema: order })
 * ```
 *
 * @throws {ConfigurationError} when the options are wrong.
 */
export function eventBridge(options: EventBridgeOptions = {}): Codec {
  parseOptions(optionsSchema(), options, 'eventBridge options')
  const typeOf = options.type ?? (({ detailType }) => detailType.trim().replaceAll(/\s+/g, '-'))
  return {
    name: 'eventBridge',
    decode: (wire) => {
      const event = objectIn(wire)
      const detailType = event?.['detail-type']
      if (event === undefined || typeof detailType !== 'string' || detailType.trim() === '') return undefined
      if (!Object.hasOwn(event, 'detail')) return undefined
      const { source, resources } = event
      return {
        data: event.detail,
        type: typeOf({ detailType, source: textOf(source, 'source') ?? '' }),
        id: textOf(event.id, 'id'),
        source: textOf(source, 'source'),
        time: timeOf(event.time, 'time'),
        metadata: {
          account: textOf(event.account, 'account'),
          region: textOf(event.region, 'region'),
          resources: Array.isArray(resources) && resources.length > 0 ? resources.join(' ') : undefined,
        },
      }
    },
  }
}
