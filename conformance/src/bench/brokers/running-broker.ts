import type { BrokerProxy } from './broker-proxy.ts'

export type BrokerName =
  | 'rabbitmq'
  | 'kafka'
  | 'redis'
  | 'valkey'
  | 'sqs'
  | 'elasticmq'
  | 'postgres'
  | 'otelcol'
  | 'prometheus'

export interface ExecResult {
  readonly exitCode: number
  /** stdout and stderr, in the order they were written. */
  readonly output: string
}

/** A broker that accepts work, in a container of ours or (then `canRestart` is false) somebody else's. */
export interface RunningBroker extends AsyncDisposable {
  readonly name: BrokerName
  /** What `connect({ url })` takes. */
  readonly url: string
  readonly host: string
  /** On the host; stays the same over restarts. */
  readonly port: number
  /** The host's port for one that `startBroker` was told to `publish`. */
  portOf(containerPort: number): number
  /** Whether restart, kill, start, pause, unpause, exec and logs work; otherwise they reject. */
  readonly canRestart: boolean
  /** Stops the broker as an administrator would and starts it again. Resolves when it accepts work. Data survives. */
  restart(): Promise<void>
  /** SIGKILL: no good-bye to anybody. Data survives as far as the broker wrote it. */
  kill(): Promise<void>
  /** Starts it again after {@link kill}. Resolves when it accepts work. */
  start(): Promise<void>
  /** Freezes every process of the broker: connections stay open and say nothing. */
  pause(): Promise<void>
  unpause(): Promise<void>
  /** Runs a command in the container, such as the broker's own administration tools. */
  exec(command: readonly string[]): Promise<ExecResult>
  /** What the broker printed since it was first started; only the last `lines` if given. */
  logs(lines?: number): Promise<string>
  /** A TCP proxy in front of the broker, with a URL of its own. Closed with the broker at the latest. */
  openProxy(): Promise<BrokerProxy>
  /** Removes the container with all its data. A second call does nothing. */
  stop(): Promise<void>
}
