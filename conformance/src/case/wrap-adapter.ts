import type {
  Adapter,
  Administration,
  Capabilities,
  DeadLetterStore,
  Delivery,
  Driver,
  DriverContext,
  OutboundMessage,
  Outcome,
  Settlement,
  Subscription,
  SubscriptionRequest,
  TopicSpec,
  Topology,
  TopologyReport,
} from '@waybill/core/driver'

/**
 * What stands between core and a driver. Each part gets the call and `forward`, which does what the driver would do.
 * Cases put faults there; mutants are made of it.
 */
export interface Layers {
  readonly capabilities?: (own: Capabilities) => Capabilities
  connect?(forward: () => Promise<Driver>, context: DriverContext): Promise<Driver>
  apply?(
    topology: Topology,
    mode: 'create' | 'verify',
    forward: (topology: Topology, mode: 'create' | 'verify') => Promise<TopologyReport>,
  ): Promise<TopologyReport>
  wanted?(
    types: readonly string[],
    forward: (types: readonly string[]) => Promise<readonly boolean[]>,
  ): Promise<readonly boolean[]>
  publish?(
    batch: readonly OutboundMessage[],
    forward: (batch: readonly OutboundMessage[]) => Promise<readonly Outcome[]>,
  ): Promise<readonly Outcome[]>
  subscribe?(
    request: SubscriptionRequest,
    forward: (request: SubscriptionRequest) => Promise<Subscription>,
  ): Promise<Subscription>
  /** Replaces a subscription as a whole, for what the parts below cannot express. */
  subscription?(subscription: Subscription, request: SubscriptionRequest, driver: Driver): Subscription
  receive?(
    max: number,
    signal: AbortSignal,
    forward: (max: number, signal: AbortSignal) => Promise<readonly Delivery[]>,
    request: SubscriptionRequest,
  ): Promise<readonly Delivery[]>
  settle?(
    settlements: readonly Settlement[],
    forward: (settlements: readonly Settlement[]) => Promise<readonly Outcome[]>,
    request: SubscriptionRequest,
  ): Promise<readonly Outcome[]>
  extend?(
    deliveries: readonly Delivery[],
    leaseMs: number,
    forward: (deliveries: readonly Delivery[], leaseMs: number) => Promise<void>,
  ): Promise<void>
  closeSubscription?(forward: () => Promise<void>, request: SubscriptionRequest): Promise<void>
  deadLetters?(store: DeadLetterStore, topic: TopicSpec, group: string, driver: Driver): DeadLetterStore
  seek?: Driver['seek']
  stats?: Driver['stats']
  administration?(own: Administration): Administration
  native?(forward: () => unknown): unknown
  close?(forward: () => Promise<void>): Promise<void>
}

/** The adapter with `layers` between its drivers and core. */
export function wrapAdapter(adapter: Adapter, layers: Layers): Adapter {
  return {
    name: adapter.name,
    schemes: adapter.schemes,
    contractVersion: adapter.contractVersion,
    async connect(url, context) {
      const forward = () => adapter.connect(url, context)
      const driver = await (layers.connect === undefined ? forward() : layers.connect(forward, context))
      return wrapDriver(driver, layers)
    },
  }
}

function wrapDriver(driver: Driver, layers: Layers): Driver {
  const { apply, wanted, publish, subscribe, deadLetters, native, close } = layers
  const forwardSubscribe = async (request: SubscriptionRequest) => {
    const own = await driver.subscribe(request)
    return wrapSubscription(layers.subscription?.(own, request, driver) ?? own, request, layers)
  }
  return {
    name: driver.name,
    capabilities: layers.capabilities?.(driver.capabilities) ?? driver.capabilities,
    apply: (topology, mode, signal) =>
      apply === undefined
        ? driver.apply(topology, mode, signal)
        : apply(topology, mode, (changed, changedMode) => driver.apply(changed, changedMode, signal)),
    publish: (batch) =>
      publish === undefined ? driver.publish(batch) : publish(batch, (changed) => driver.publish(changed)),
    subscribe: (request) =>
      subscribe === undefined ? forwardSubscribe(request) : subscribe(request, forwardSubscribe),
    deadLetters(topic, group) {
      const store = driver.deadLetters(topic, group)
      return deadLetters === undefined ? store : deadLetters(store, topic, group, driver)
    },
    seek: layers.seek ?? ((topic, group, position) => driver.seek(topic, group, position)),
    stats: layers.stats ?? ((topic, group) => driver.stats(topic, group)),
    wanted: (topic, group, types) =>
      wanted === undefined
        ? driver.wanted(topic, group, types)
        : wanted(types, (changed) => driver.wanted(topic, group, changed)),
    administration: layers.administration?.(driver.administration) ?? driver.administration,
    health: () => driver.health(),
    native: () => (native === undefined ? driver.native() : native(() => driver.native())),
    close: () => (close === undefined ? driver.close() : close(() => driver.close())),
  }
}

function wrapSubscription(
  subscription: Subscription,
  request: SubscriptionRequest,
  { receive, settle, extend, closeSubscription }: Layers,
): Subscription {
  const forwardReceive = (max: number, signal: AbortSignal) => subscription.receive(max, signal)
  const forwardSettle = (settlements: readonly Settlement[], signal?: AbortSignal) =>
    subscription.settle(settlements, signal)
  const forwardExtend = (deliveries: readonly Delivery[], leaseMs: number) =>
    subscription.extend(deliveries, leaseMs)
  const forwardClose = () => subscription.close()
  return {
    leaseMs: subscription.leaseMs,
    ...(subscription.settlesAtOnce !== undefined && { settlesAtOnce: subscription.settlesAtOnce }),
    receive: (max, signal) =>
      receive === undefined ? forwardReceive(max, signal) : receive(max, signal, forwardReceive, request),
    settle: (settlements, signal) =>
      settle === undefined ? forwardSettle(settlements, signal) : settle(settlements, forwardSettle, request),
    extend: (deliveries, leaseMs) =>
      extend === undefined ? forwardExtend(deliveries, leaseMs) : extend(deliveries, leaseMs, forwardExtend),
    resize: (prefetch) => subscription.resize?.(prefetch),
    onLost: (listener) => subscription.onLost(listener),
    onHandover: (listener) => subscription.onHandover?.(listener),
    close: () =>
      closeSubscription === undefined ? forwardClose() : closeSubscription(forwardClose, request),
  }
}
