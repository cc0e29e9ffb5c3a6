import { AsyncLocalStorage } from 'node:async_hooks'
import type { Message } from './message.ts'

const storage = new AsyncLocalStorage<Message>()

/** The message whose handler the caller runs in, so that what it sends carries on correlation, cause and trace. */
export function currentMessage(): Message | undefined {
  return storage.getStore()
}

export function whileHandling<Result>(message: Message, run: () => Result): Result {
  return storage.run(message, run)
}
