import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { confirm } from './confirm.ts'

function asked(answer: string, { isTTY = true, yes }: { isTTY?: boolean; yes?: boolean } = {}) {
  const [stdin, stderr] = [new PassThrough(), new PassThrough()].map((stream) =>
    Object.assign(stream, { isTTY }),
  )
  if (stdin === undefined || stderr === undefined) throw new Error('no streams')
  let shown = ''
  stderr.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
  })
  stdin.write(`${answer}\n`)
  const options = { yes, signal: new AbortController().signal }
  return {
    done: confirm({ stdin, stdout: stderr, stderr }, 'Discard 3 letters?', options),
    shown: () => shown,
  }
}

test.each(['y', 'yes', ' Y '])('"%s" goes ahead', async (answer) => {
  const { done, shown } = asked(answer)
  await done
  expect(shown()).toMatch(/Discard 3 letters\? \[y\/N\]/)
})

test.each(['', 'n', 'yesterday'])('"%s" does not', async (answer) => {
  await expect(asked(answer).done).rejects.toThrow('Nothing was changed')
})

test('where there is no terminal only --yes goes ahead', async () => {
  await expect(asked('y', { isTTY: false }).done).rejects.toThrow(/add --yes/)
  const { done, shown } = asked('', { isTTY: false, yes: true })
  await done
  expect(shown()).toBe('')
})
