import { GenericContainer, type WaitStrategy } from 'testcontainers'
import type { ContainerPlan } from './definition.ts'
import { ownerLabels } from './leftovers.ts'

/** testcontainers' own waiting is not used: {@link waitUntilReady} waits at restarts too, and shows the log. */
const WITHOUT_WAITING: WaitStrategy = {
  waitUntilReady: async () => undefined,
  withStartupTimeout: () => WITHOUT_WAITING,
  isStartupTimeoutSet: () => false,
  getStartupTimeout: () => 0,
}

/** A broker's container: what the plan says, labelled with the process it belongs to. */
export class BrokerContainer extends GenericContainer {
  constructor(
    image: string,
    name: string,
    plan: ContainerPlan,
    environment: Readonly<Record<string, string>>,
  ) {
    super(image)
    this.withName(name)
      .withLabels(ownerLabels())
      .withExposedPorts(...plan.ports)
      .withEnvironment({ ...plan.environment, ...environment })
      .withCopyContentToContainer((plan.files ?? []).map((file) => ({ ...file, mode: 0o644 })))
      .withWaitStrategy(WITHOUT_WAITING)
    if (plan.command !== undefined) this.withCommand([...plan.command])
    // testcontainers knows bind mounts only; an anonymous volume goes away together with its container.
    if (plan.volumes !== undefined) {
      this.createOpts.Volumes = Object.fromEntries(plan.volumes.map((path) => [path, {}]))
    }
  }
}
