import { AsyncLocalStorage } from 'node:async_hooks'
import type { Message } from '../messages/message.ts'

/** Stands for the messages of a batch: what is sent from its handler has no single cause. */
export const severalMessages = Symbol('several messages')

const storage = new AsyncLocalStorage<Message | typeof severalMessages>()

/** The message whose handler the caller runs in, so that what it sends carries on correlation, cause and trace. */
export function currentMessage(): Message | undefined {
  const handled = storage.getStore()
  return handled === severalMessages ? undefined : handled
}

export function isHandling(): boolean {
  return storage.getStore() !== undefined
}

export function whileHandling<Result>(handled: Message | typeof severalMessages, run: () => Result): Result {
  return storage.run(handled, run)
}
