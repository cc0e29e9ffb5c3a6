import { spawn } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import { toError } from '@waybill/core/driver'
import { childScript } from './child-script.ts'

/** A thread or a process that runs one job at a time. */
export interface Child {
  send(message: unknown): void
  /** What it sends; replaces the listener before. */
  onMessage: (message: unknown) => void
  /** It ended, with a reason. */
  onEnd: (reason: Error) => void
  /** Lets it keep this process alive, or not. */
  hold(isHeld: boolean): void
  kill(): void
}

export function threadChild(): Child {
  const worker = new Worker(childScript, { eval: true })
  const child: Child = {
    send: (message) => worker.postMessage(message),
    onMessage: () => {},
    onEnd: () => {},
    hold: (isHeld) => (isHeld ? worker.ref() : worker.unref()),
    kill: () => void worker.terminate(),
  }
  worker.on('message', (message: unknown) => child.onMessage(message))
  worker.on('error', (error: unknown) => child.onEnd(toError(error)))
  worker.on('exit', (code) => child.onEnd(new Error(`The thread of the job ended with code ${code}`)))
  return child
}

export function processChild(): Child {
  const started = spawn(process.execPath, [...process.execArgv, '-e', childScript], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  const child: Child = {
    send: (message) => {
      if (started.connected) started.send(Object(message))
    },
    onMessage: () => {},
    onEnd: () => {},
    hold: (isHeld) => {
      if (isHeld) {
        started.ref()
        started.channel?.ref()
      } else {
        started.unref()
        started.channel?.unref()
      }
    },
    kill: () => started.kill('SIGKILL'),
  }
  started.on('message', (message: unknown) => child.onMessage(message))
  started.on('error', (error) => child.onEnd(error))
  started.on('exit', (code, signal) =>
    child.onEnd(new Error(`The process of the job ended with ${signal ?? `code ${code}`}`)),
  )
  return child
}
