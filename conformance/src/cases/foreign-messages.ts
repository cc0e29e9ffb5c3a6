import assert from 'node:assert/strict'
import { type DeadLetter, exponential } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import type { Stage } from '../case/stage.ts'
import type { RawMessage } from '../harness.ts'

const utf8 = new TextEncoder()

/** What foreign programs say in headers of their own. */
const foreignHeaders = { traceparent: '00-abc-def-01', 'x-region': 'Zürich – Süd' }

async function onlyLetter(context: CaseContext, stage: Stage, after?: DeadLetter): Promise<DeadLetter> {
  let letters: DeadLetter[] = []
  await context.eventually('it is the only dead letter', async () => {
    letters = await stage.deadLetters()
    return letters.length === 1 && letters[0]?.id !== after?.id
  })
  const [letter] = letters
  assert.ok(letter)
  return letter
}

function assertWhole(letter: DeadLetter, sent: RawMessage): void {
  assert.equal(Buffer.from(letter.body).toString('hex'), Buffer.from(sent.body).toString('hex'), 'the body')
  assert.equal(letter.contentType, sent.contentType, 'the content type')
  for (const [name, text] of Object.entries(sent.headers)) {
    assert.equal(letter.headers[name], text, `the header ${name}`)
  }
}

/** Has the letter put back, and gives the one that comes of it. */
async function replayed(context: CaseContext, stage: Stage, letter: DeadLetter): Promise<DeadLetter> {
  const { deadLetters } = stage.bus.group(stage.topic, stage.group)
  assert.equal((await deadLetters.replay([letter.id])).replayed, 1)
  return onlyLetter(context, stage, letter)
}

/** What other programs send stays as it is, whatever it goes through. */
export const foreignMessages: readonly Case[] = [
  {
    number: 102,
    part: 'a',
    title:
      'An event that others wrote stays whole, byte for byte, through retries, dead letters and replays: body, headers, content type',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { attempts: 2, backoff: exponential({ initial: context.pace(100) }) }
      await stage.consume(recorder, { retry }, () => {
        throw new Error('refused')
      })
      // No writer of ours would order, space or escape it like this.
      const text = `{ "data" : {"n":1,  "extra": 1.50e0, "name": "\\u00fc"},
  "datacontenttype":"application/json", "dataversion":"1","type" : "${stage.message.type}",
  "source":"/elsewhere", "id":"foreign-1", "specversion":"1.0", "comexampleshard": "7" }`
      const sent = {
        body: utf8.encode(text),
        contentType: 'application/cloudevents+json; charset=utf-8',
        headers: foreignHeaders,
      }
      await context.publishRaw(stage.topic, { ...sent, type: stage.message.type })
      const first = await onlyLetter(context, stage)
      assertWhole(first, sent)
      assertWhole(await replayed(context, stage, first), sent)
      const attempts = recorder.of({ id: 'foreign-1' }).map(({ attempt }) => attempt)
      assert.deepEqual(attempts, [1, 2, 1, 2])
    },
  },
  {
    number: 102,
    part: 'b',
    title: 'What is no event stays whole, byte for byte, in the dead letters and through their replay',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage()
      await stage.consume(context.recorder())
      const sent = {
        body: Uint8Array.of(0x00, 0xff, 0xfe, 0x80, 0x0a, 0x00),
        contentType: 'application/octet-stream',
        headers: foreignHeaders,
      }
      await context.publishRaw(stage.topic, { ...sent, type: stage.message.type })
      const first = await onlyLetter(context, stage)
      assertWhole(first, sent)
      assertWhole(await replayed(context, stage, first), sent)
    },
  },
]
