import { defineMessage, defineTopic, type TopicOptions } from '@waybill/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { topicOf, topicSettingsText } from './topic-settings.ts'

const textOf = (options: TopicOptions) =>
  topicSettingsText(defineMessage(defineTopic('orders', options), 'order.placed', { schema: z.any() }))

test('says only what a topic has chosen', () => {
  expect(textOf({})).toBeNull()
  expect(textOf({ partitions: 8, ordered: false })).toBeNull()
  expect(textOf({ ordered: true, groups: ['billing'] })).toBe('{"ordered":true,"groups":["billing"]}')
})

test('reads what it wrote, and what says everything', () => {
  for (const options of [{}, { ordered: true }, { partitions: 3, groups: ['billing'] }]) {
    expect(topicOf('orders', textOf(options))).toEqual({
      topic: defineTopic('orders', options),
      ownFormat: false,
    })
  }
  const whole = '{"ordered":true,"partitions":8,"groups":["all"],"native":{},"ownFormat":true}'
  expect(topicOf('orders', whole)).toEqual({
    topic: defineTopic('orders', { ordered: true, groups: ['all'] }),
    ownFormat: true,
  })
})
