/**
 * What a thread or process runs that holds one module: it calls the module's default export for each job it is sent, one at a
 * time. As text, so that it needs no file beside the package's.
 */
export const childScript = `
const { parentPort } = require('node:worker_threads')
const send = parentPort ? (message) => parentPort.postMessage(message) : (message) => process.send(message)
const source = parentPort ?? process
let controller = new AbortController()
let asked = 0
const waiting = new Map()
const errorOf = (error) => ({
  name: String(error?.name ?? 'Error'),
  message: String(error?.message ?? error),
  code: error?.code,
  delay: error?.delay,
})
async function run({ module, job, attempt, attempts }) {
  controller = new AbortController()
  try {
    const { default: handler } = await import(module)
    if (typeof handler !== 'function') throw new TypeError(module + ' has no function as its default export')
    const output = await handler(job, {
      signal: controller.signal,
      attempt,
      attempts,
      progress: (value) => send({ kind: 'progress', value }),
      log: (text) => send({ kind: 'log', text: String(text) }),
      children: () =>
        new Promise((resolve, reject) => {
          asked += 1
          waiting.set(asked, { resolve, reject })
          send({ kind: 'children', id: asked })
        }),
      completeIn: async () => {
        throw new Error('completeIn needs the database of the worker; return the result instead')
      },
    })
    send({ kind: 'done', output })
  } catch (error) {
    send({ kind: 'failed', error: errorOf(error) })
  }
}
source.on('message', (message) => {
  if (message.kind === 'run') void run(message)
  if (message.kind === 'abort') controller.abort(new Error(message.reason))
  if (message.kind === 'children') waiting.get(message.id)?.resolve(message.children)
})
send({ kind: 'ready' })
`
