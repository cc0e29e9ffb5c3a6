#!/usr/bin/env node
import { CommandFailure } from './failures/command-failure.ts'
import { exitCodes } from './failures/exit-codes.ts'
import { Interruption } from './failures/interruption.ts'
import { run } from './run.ts'

// What a broker's client gets for closing its connections after the command was interrupted.
const graceMs = 5000

const { stdin, stdout, stderr } = process
const ending = new AbortController()

function end(reason: Interruption | CommandFailure): void {
  // Whoever presses Ctrl-C twice does not want to wait.
  if (ending.signal.aborted) process.exit(reason.exitCode)
  ending.abort(reason)
  setTimeout(() => process.exit(reason.exitCode), graceMs).unref()
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => end(Interruption.ofSignal(signal)))
}
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (ending.signal.aborted) return
  const what = `The output cannot be written: ${error.message}`
  end(error.code === 'EPIPE' ? Interruption.ofBrokenPipe() : new CommandFailure(exitCodes.failed, what))
})
stderr.on('error', () => {
  // There is nobody left to tell.
})

const host = { streams: { stdin, stdout, stderr }, directory: process.cwd(), signal: ending.signal }
const exitCode = await run(process.argv.slice(2), host)
// Modules of the user's may keep the process alive, a pool of connections for example.
stdout.write('', () => process.exit(exitCode))
