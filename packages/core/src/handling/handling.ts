import { AsyncLocalStorage } from 'node:async_hooks'
import type { Message } from '../messages/message.ts'

/** What is being handled. Without a message: several at once, so that what is sent has no single cause. */
interface Scope {
  readonly message: Message | undefined
}

/** The body of a pull loop. Until a message has come, and when the loop is over, it counts as what is around the loop. */
interface PullScope {
  message: Message | undefined
  readonly loop: PullLoop
  readonly around: AnyScope | undefined
}

type AnyScope = Scope | PullScope

const storage = new AsyncLocalStorage<AnyScope | undefined>()
const severalMessages: Scope = { message: undefined }

function current(): Scope | undefined {
  let scope = storage.getStore()
  while (scope !== undefined && 'loop' in scope && scope.message === undefined) scope = scope.around
  return scope
}

/** The message whose handler the caller runs in, so that what it sends carries on correlation, cause and trace. */
export function currentMessage(): Message | undefined {
  return current()?.message
}

export function isHandling(): boolean {
  return current() !== undefined
}

export function whileHandling<Result>(message: Message, run: () => Result): Result {
  return storage.run({ message }, run)
}

export function whileHandlingSeveral<Result>(run: () => Result): Result {
  return storage.run(severalMessages, run)
}

/**
 * Makes the body of a pull loop the handler of what it pulls. There is no function to run it in, so the async context is
 * changed when the iterator is called. Each message gets a scope of its own, so that what the body leaves running keeps its
 * cause.
 */
export class PullLoop {
  /** To be called in the caller's turn. The result takes the message once it has come. */
  enter(): (message: Message) => void {
    const scope: PullScope = { message: undefined, loop: this, around: this.#around() }
    storage.enterWith(scope)
    return (message) => {
      scope.message = message
    }
  }

  /** To be called in the caller's turn: what follows is no longer part of the loop. */
  leave(): void {
    storage.enterWith(this.#around())
  }

  // Not the scope of the message before, or they would pile up.
  #around(): AnyScope | undefined {
    const scope = storage.getStore()
    return scope !== undefined && 'loop' in scope && scope.loop === this ? scope.around : scope
  }
}
