import type { Bus, Capabilities, Feature, Topic } from '@waybill/core'
import { collect, milliseconds } from '../../arguments.ts'
import type { CommandFile } from '../../cli.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { redactUrls } from '../../failures/redact.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { formatCount, formatDuration } from '../../output/format.ts'
import type { Session } from '../../session.ts'
import { type PlannedTopic, planTopics, topicsOf } from '../topology/plan-topics.ts'
import { clockFinding } from './clock.ts'
import { columns, examine, type Finding, toJson } from './finding.ts'
import { RoundTrip } from './round-trip.ts'

export const doctor: CommandFile = (cli) =>
  cli
    .command('doctor', 'Tries out whether applications can work with this broker and this user', [
      'waybill doctor --url redis://localhost',
      'waybill doctor --requires ordered --requires seek --definitions ./messages.ts',
      'waybill doctor --no-round-trip',
    ])
    .option('--requires <feature>', 'a feature your application relies on; several are allowed', collect)
    .option('--no-round-trip', 'makes nothing at the broker')
    .option('--timeout <duration>', 'how long each check may take', milliseconds, 30_000)
    .addHelpText(
      'after',
      `
It makes a topic of its own (waybill-doctor-…), sends, receives, retries, buries and replays messages there, and removes
it again, or says that it is left. The exit code is 1 if a check failed; a warning is no failure.`,
    )
    .action((options) =>
      cli.run(async (session) => {
        let isWell = true
        const findings = async function* () {
          for await (const finding of examineAll(session, options)) {
            isWell &&= finding.status !== 'failed'
            yield finding
          }
        }
        await session.output.list(columns, findings(), toJson)
        return isWell ? undefined : exitCodes.failed
      }),
    )

interface Options {
  readonly requires?: readonly string[] | undefined
  readonly roundTrip: boolean
  readonly timeout: number
}

async function* examineAll(session: Session, options: Options): AsyncGenerator<Finding, undefined> {
  const definitions = await session.definitions()
  const startedAt = performance.now()
  const bus = await session.bus({ provision: options.roundTrip ? 'create' : 'none' })
  const required = requiredFeatures(bus, options.requires ?? [], definitions?.topics ?? [])
  yield { check: 'connect', status: 'ok', detail: bus.driver, durationMs: performance.now() - startedAt }
  yield examine('broker', () => describeBroker(bus))
  yield clockFinding(bus)
  yield { check: 'limits', status: 'ok', detail: describeLimits(bus.capabilities) }
  for (const { feature, why } of required) yield featureFinding(bus, feature, why)
  if (definitions !== undefined) {
    const looking = { create: false, signal: session.signal }
    for await (const topic of planTopics(bus, topicsOf(definitions), looking)) yield topicFinding(topic)
  }
  if (options.roundTrip) yield* new RoundTrip(bus, options.timeout).findings()
  return undefined
}

async function describeBroker(bus: Bus): Promise<string> {
  const { driver } = await bus.health()
  if (driver.status === 'down') throw driver.error ?? new Error('It does not say why it is down')
  const details = Object.entries(driver.details).filter(([, value]) => isTellable(value))
  return redactUrls(details.map(([name, value]) => `${name} ${value}`).join(', ')) || 'up'
}

function isTellable(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

function describeLimits({
  maxMessageBytes,
  maxDelayMs,
  maxLeaseMs,
  delayGranularityMs,
}: Capabilities): string {
  const duration = (value: number) => (Number.isFinite(value) ? formatDuration(value) : 'no limit')
  return [
    `message ${formatCount(maxMessageBytes)} bytes`,
    `delay ${duration(maxDelayMs)}, late by up to ${formatDuration(delayGranularityMs)}`,
    `lease ${duration(maxLeaseMs)}`,
  ].join('; ')
}

interface Required {
  readonly feature: Feature
  readonly why: string
}

function requiredFeatures(bus: Bus, names: readonly string[], topics: readonly Topic[]): readonly Required[] {
  const isFeature = (name: string): name is Feature =>
    typeof Reflect.get(bus.capabilities, name) === 'boolean'
  const required: Required[] = []
  for (const name of names) {
    if (!isFeature(name)) {
      const known = Object.keys(bus.capabilities).filter(isFeature)
      throw new UsageError(`There is no feature "${name}"; there are ${known.join(', ')}`)
    }
    required.push({ feature: name, why: 'you require it' })
  }
  const ordered = topics.find((topic) => topic.ordered)
  if (ordered !== undefined) required.push({ feature: 'ordered', why: `topic ${ordered.name} is ordered` })
  return required
}

function featureFinding(bus: Bus, feature: Feature, why: string): Finding {
  const check = `feature ${feature}`
  if (bus.capabilities[feature]) return { check, status: 'ok', detail: why }
  return { check, status: 'failed', detail: `${bus.driver} does not have it, and ${why}` }
}

function topicFinding({ topic, status, names, difference }: PlannedTopic): Finding {
  const check = `topic ${topic.name}`
  if (status === 'exists') return { check, status: 'ok', detail: 'exists as defined' }
  const detail = difference ?? `missing: ${names.join(', ')}; "waybill apply" makes it`
  return { check, status: 'failed', detail }
}
