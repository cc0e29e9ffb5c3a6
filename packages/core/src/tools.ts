/**
 * For tools that know no definitions, such as a command line or a bridge: a broker's driver by its URL, and what can be told
 * of a message without decoding it. A broadcast subscription of the driver sees every message of a topic and disturbs no
 * group; a subscription of a group of the tool's own keeps its place.
 *
 * @example
 * const driver = await openDriver({ url: 'kafka://localhost' })
 * const topic = (await driver.administration.listTopics?.())?.find(({ name }) => name === 'orders')
 * const watching = await driver.subscribe({
 *   topic,
 *   group: { name: 'tail-1', types: ['#'], wishes: [], from: 'latest' },
 *   prefetch: 100,
 *   maxPrefetch: 100,
 *   leaseMs: 30_000,
 *   broadcast: true,
 * })
 * const deliveries = await watching.receive(100, signal)
 * for (const { id, type, key, body } of deliveries.map(toUndecoded)) print(id, type, key, body)
 * await watching.settle(deliveries.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
 */
export { type OpenDriverOptions, openDriver } from './bus/open-driver.ts'
export type { OpeningOptions } from './bus/opening.ts'
export { undecodedTopic } from './messages/undecoded-codec.ts'
export { priorityOf, toUndecoded, type UndecodedMessage } from './messages/undecoded-message.ts'
export { sendUndecoded, type UndecodedSendOptions } from './sending/send-undecoded.ts'
