import { randomBytes } from 'node:crypto'
import { BrokerContainer } from './broker-container.ts'
import { ContainerBroker } from './container-broker.ts'
import type { BrokerDefinition, ContainerFile, ContainerPlan, Placement } from './definition.ts'
import { definitions } from './definitions.ts'
import { docker } from './docker.ts'
import { ensureEngine } from './engine.ts'
import { engineHost } from './engine-host.ts'
import { ExternalBroker } from './external-broker.ts'
import { chooseFreePort } from './free-port.ts'
import { type ImageKind, resolveImage, settleReaper } from './images.ts'
import { forgetContainer, removeAtExit, removeLeftovers } from './leftovers.ts'
import type { BrokerName, RunningBroker } from './running-broker.ts'
import { waitUntilReady } from './wait-until-ready.ts'

const DEFAULT_START_TIMEOUT_MS = 120_000
/** A port found free may be taken by another process before the container has it. */
const PORT_ATTEMPTS = 3

export interface StartBrokerOptions {
  /**
   * Settings in the broker's own spelling, which win over the harness's: lines of `rabbitmq.conf` and
   * `server.properties`, options of `redis-server`, environment variables of the SQS emulator.
   * Ignored for a broker that already runs.
   */
  readonly configuration?: Readonly<Record<string, string>>
  /** Environment variables of the container. */
  readonly environment?: Readonly<Record<string, string>>
  /** Files put into the container before the broker starts. Ignored for a broker that already runs. */
  readonly files?: readonly ContainerFile[]
  /** Further container ports to be reached, see {@link RunningBroker.portOf}. */
  readonly publish?: readonly number[]
  /** How long the broker may take until it accepts work, also at restarts. Default: 120,000. */
  readonly startTimeoutMs?: number
}

/**
 * Starts a broker in a container, or takes the running one that the environment names
 * (`WAYBILL_RABBITMQ_URL` and so on). Resolves once it accepts work; a broker that does not start is an
 * error with its last log lines. Install nothing first: engine and image are seen to, see {@link ensureEngine}
 * and {@link resolveImage}.
 */
export async function startBroker(
  name: BrokerName,
  options: StartBrokerOptions = {},
): Promise<RunningBroker> {
  const definition = definitions[name]
  const url = process.env[definition.urlVariable]
  if (url !== undefined && url !== '') return new ExternalBroker(name, definition, url)

  await ensureEngine()
  const { image, kind } = await resolveImage(definition)
  await settleReaper()
  await removeLeftovers()
  for (let attempt = 1; ; attempt++) {
    const placement = await place(definition, kind, options)
    try {
      return await startContainer(name, definition, image, placement, options)
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || !isPortTaken(error)) throw error
    }
  }
}

async function place(
  definition: BrokerDefinition,
  kind: ImageKind,
  options: StartBrokerOptions,
): Promise<Placement> {
  const listeners = Array.from({ length: definition.proxyListeners }, async () => ({
    targetPort: await chooseFreePort(),
    listenPort: await chooseFreePort(),
  }))
  return {
    kind,
    host: await engineHost(),
    port: await chooseFreePort(),
    proxies: await Promise.all(listeners),
    configuration: options.configuration ?? {},
  }
}

async function startContainer(
  name: BrokerName,
  definition: BrokerDefinition,
  image: string,
  placement: Placement,
  options: StartBrokerOptions,
): Promise<RunningBroker> {
  const containerName = `waybill-${name}-${process.pid}-${randomBytes(3).toString('hex')}`
  const startTimeoutMs = options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS
  removeAtExit(containerName)
  try {
    const container = new BrokerContainer(
      image,
      containerName,
      await withExtras(definition.plan(placement), options),
      options.environment ?? {},
    )
    const started = await container.start()
    await waitUntilReady({
      container: containerName,
      probe: () => definition.probe(placement.host, placement.port),
      timeoutMs: startTimeoutMs,
    })
    return new ContainerBroker({ name, definition, placement, containerName, started, startTimeoutMs })
  } catch (error) {
    await docker(['rm', '-f', '-v', containerName]).catch(() => undefined)
    forgetContainer(containerName)
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${name} did not start from image ${image}: ${reason}`, { cause: error })
  }
}

/** Ports of our own choice, because those that the engine chooses change at a restart. */
async function withExtras(
  plan: ContainerPlan,
  { files = [], publish = [] }: StartBrokerOptions,
): Promise<ContainerPlan> {
  const published = publish.map(async (container) => ({ container, host: await chooseFreePort() }))
  const ports = [...plan.ports, ...(await Promise.all(published))]
  return { ...plan, files: [...(plan.files ?? []), ...files], ports }
}

function isPortTaken(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return /port is already allocated|address already in use/i.test(error.message) || isPortTaken(error.cause)
}
