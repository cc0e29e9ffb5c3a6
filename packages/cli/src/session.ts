import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, type ConnectOptions, connect, type Group, type Topic } from '@waybill/core'
import type { Jobs } from '@waybill/jobs'
import { type ConnectionArguments, connectionOptions } from './connection/connection-options.ts'
import { type Definitions, loadDefinitions } from './connection/definitions.ts'
import { type JobStoreOptions, openJobStore } from './connection/job-store.ts'
import { findGroup, findTopic } from './connection/named.ts'
import { sentenceOf } from './failures/explain-failure.ts'
import type { Redactor } from './failures/redact.ts'
import { UsageError } from './failures/usage-error.ts'
import { confirm } from './output/confirm.ts'
import type { Output, Streams } from './output/output.ts'
import { Progress } from './output/progress.ts'

const closeWithinMs = 1000

export interface SessionParts {
  readonly streams: Streams
  readonly output: Output
  readonly redactor: Redactor
  readonly connection: ConnectionArguments & { readonly definitions?: readonly string[] | undefined }
  /** Where modules and adapters are looked for. */
  readonly directory: string
  /** Fires when the command is to end early. */
  readonly signal: AbortSignal
}

/** What a command works with. The bus is opened when it is first asked for, and closed when the command ends. */
export class Session {
  readonly output: Output
  readonly signal: AbortSignal
  readonly streams: Streams
  readonly directory: string
  readonly #parts: SessionParts
  readonly #deferred: (() => Promise<void>)[] = []
  #bus: Promise<Bus> | undefined
  #definitions: Promise<Definitions | undefined> | undefined

  constructor(parts: SessionParts) {
    this.output = parts.output
    this.signal = parts.signal
    this.streams = parts.streams
    this.directory = parts.directory
    this.#parts = parts
  }

  /** The connection. It creates nothing at the broker unless `options` say so. */
  bus(options: Pick<ConnectOptions, 'provision'> = {}): Promise<Bus> {
    this.#bus ??= this.#connect(options)
    return this.#bus
  }

  /** The options of connect() for a broker that the command itself names. */
  connectionTo(given: Omit<ConnectionArguments, 'connectTimeout'>): Promise<ConnectOptions> {
    const { connection, directory, redactor } = this.#parts
    return connectionOptions({ ...given, connectTimeout: connection.connectTimeout }, directory, redactor)
  }

  /** What the modules of `--definitions` export; undefined when the option is not given. */
  definitions(): Promise<Definitions | undefined> {
    const { connection, directory } = this.#parts
    const { definitions = [] } = connection
    this.#definitions ??=
      definitions.length === 0 ? Promise.resolve(undefined) : loadDefinitions(definitions, directory)
    return this.#definitions
  }

  /** @throws {UsageError} when the option is not given. */
  async requiredDefinitions(): Promise<Definitions> {
    const definitions = await this.definitions()
    if (definitions !== undefined) return definitions
    throw new UsageError('Give the module that exports your topics: --definitions ./messages.ts')
  }

  /** @throws {UsageError} when there is no such topic. */
  async topic(name: string): Promise<Topic> {
    const definitions = await this.definitions()
    return findTopic(await this.bus(), name, definitions)
  }

  /** @throws {UsageError} when there is no such group. */
  async group(topic: string, name: string): Promise<Group> {
    const definitions = await this.definitions()
    return findGroup(await this.bus(), topic, name, definitions)
  }

  /** Returns when the user agrees. */
  confirm(question: string, yes: boolean | undefined): Promise<void> {
    return confirm(this.streams, question, { yes, signal: this.signal })
  }

  progress(label: string, total?: number): Progress {
    return new Progress(this.streams.stderr, label, total)
  }

  /** The jobs of a store, until the command ends. */
  async jobs(options: JobStoreOptions): Promise<Jobs> {
    const { directory, redactor } = this.#parts
    const { jobs, close } = await openJobStore(options, directory, redactor)
    // What hangs is left behind.
    this.defer(() => Promise.race([close(), sleep(closeWithinMs, undefined, { ref: false })]))
    return jobs
  }

  /** Called when the command ends, also when it is interrupted. It has to be bounded in time. */
  defer(end: () => Promise<void>): void {
    this.#deferred.push(end)
  }

  /** Bounded in time, even if the broker hangs. */
  async close(timeout: '1s' | '5s'): Promise<void> {
    await Promise.all(this.#deferred.map((end) => end()))
    const bus = await this.#bus?.catch(() => undefined)
    await bus?.close({ timeout })
  }

  async #connect({ provision = 'none' }: Pick<ConnectOptions, 'provision'>): Promise<Bus> {
    const { connection, directory, redactor, output, signal } = this.#parts
    const options = await connectionOptions(connection, directory, redactor)
    return connect({
      ...options,
      provision,
      signal,
      console: false,
      on: {
        warning: ({ message }) => output.note(`waybill: warning: ${message}`),
        blocked: ({ reason }) =>
          output.note(`waybill: the broker takes no messages at the moment: ${reason}`),
        ...(process.env.WAYBILL_DEBUG === '1' && {
          failure: ({ what, error }) => output.note(`waybill: ${what}: ${sentenceOf(error)}`),
        }),
      },
    })
  }
}
