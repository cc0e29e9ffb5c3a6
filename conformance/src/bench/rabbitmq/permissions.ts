import assert from 'node:assert/strict'
import { type ConnectOptions, connect, fixed, type Message } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { refusal } from '../../case/refusal.ts'
import { numbered } from '../../fixtures/numbered.ts'
import type { Administration } from './administration.ts'

interface Rights {
  readonly configure: string
  readonly write: string
  readonly read: string
}

/** The rows of the adapter's README, "Permissions". */
const rows = {
  creator: (topic: string): Rights => ({
    configure: `^(${topic})(:.*)?$`,
    write: `^(${topic})(:.*)?$|^amq\\.default$`,
    read: `^(${topic})(:.*)?$`,
  }),
  worker: (topic: string): Rights => ({
    configure: '^$',
    write: `^(${topic})(:.*)?$|^amq\\.default$`,
    read: `^(${topic})(:.*)?$`,
  }),
  /** From 4.3 on a user needs some right to whatever it looks for. */
  sender: (topic: string, isAtLeast43: boolean): Rights => ({
    configure: '^$',
    write: isAtLeast43 ? `^(${topic})(:.*)?$` : `^${topic}(:kept|:delay:.*)?$`,
    read: '^$',
  }),
}

export function permissions(administration: Administration): readonly Case[] {
  async function busOf(
    context: CaseContext,
    { configure, write, read }: Rights,
    options: Omit<ConnectOptions, 'url'>,
  ) {
    const user = context.unique('user')
    await administration.control('add_user', user, 'secret')
    await administration.control('set_permissions', user, configure, write, read)
    const url = new URL(context.harness.connection.url)
    url.username = user
    url.password = 'secret'
    const bus = await connect({ url: url.href, adapter: context.harness.adapter, console: false, ...options })
    context.defer(() => bus.close())
    return bus
  }

  return [
    {
      number: 121,
      title: 'Users with the least rights of the README create, consume and send, and can do no more',
      needs: ['restart'],
      async run(context) {
        const topic = context.topic({ groups: ['billing'] })
        const native = { rabbitmq: { delayQueues: 'all', longestDelay: '1s' } } as const
        const creator = await busOf(context, rows.creator(topic.name), { native })
        const provision = 'verify'
        const worker = await busOf(context, rows.worker(topic.name), { native, provision })
        const [major = 0, minor = 0] = (await administration.control('version')).trim().split('.').map(Number)
        const isAtLeast43 = major > 4 || (major === 4 && minor >= 3)
        const sender = await busOf(context, rows.sender(topic.name, isAtLeast43), { native, provision })

        const missing = await refusal('verify', worker.provision([topic]), 'topology-missing')
        assert.ok(missing.message.includes(`queue ${topic.name}:billing`), missing.message)
        const other = { ...topic, name: context.unique('other') }
        await refusal('creating what is not ours', creator.provision([other]), 'access-denied')
        await creator.provision([topic])

        const message = numbered(topic)
        const sent: Message[] = []
        for (const [index, bus] of [sender, worker, creator].entries()) {
          sent.push(await bus.producer().send(message, { n: index * 2 }))
          sent.push(await bus.producer().send(message, { n: index * 2 + 1 }, { delay: 50 }))
        }
        const recorder = context.recorder()
        const fails = () => {
          throw new Error('every attempt fails')
        }
        const retry = { attempts: 2, backoff: fixed(50) }
        const failing = worker.consumer('billing', { retry }).on(message, recorder.handler('worker', fails))
        await failing.start()
        await context.exactly(recorder, [...sent, ...sent])
        const letters = worker.group(topic, 'billing').deadLetters
        await context.eventually('all are dead', async () => (await letters.count()) === sent.length)
        await failing.stop()
        assert.equal(await letters.replayAll(), sent.length)
        const replayed = context.recorder()
        await creator.consumer('billing').on(message, replayed.handler('creator')).start()
        await context.exactly(replayed, sent)

        const refused = sender.consumer('billing').on(message, () => undefined)
        await refusal(
          'consuming without the right',
          refused.start({ timeout: context.pace(1000) }),
          'access-denied',
        )
      },
    },
  ]
}
