import { expect, test } from 'vitest'
import { Redactor, redactUrls } from './redact.ts'

test.each([
  ['amqp://app:s3cret@host:5672/shop', 'amqp://app:***@host:5672/shop'],
  [
    'no connection to sqs+http://AKIA:abc%2Fdef@localhost at all',
    'no connection to sqs+http://AKIA:***@localhost at all',
  ],
  ['redis://:only@host', 'redis://:***@host'],
  ['redis://host?password=x&cluster=true', 'redis://host?password=***&cluster=true'],
  ['redis://user@host and nothing to hide', 'redis://user@host and nothing to hide'],
])('%s', (text, expected) => {
  expect(redactUrls(text)).toBe(expected)
})

test('a secret is hidden wherever it stands as a word, in its URL form and decoded', () => {
  const redactor = new Redactor()
  redactor.learnUrl('amqp://app:p%40ss.word@host')
  expect(redactor.redact('refused "p@ss.word", p%40ss.word')).toBe('refused "***", ***')
  expect(redactor.redact('the p@ss.words stay')).toBe('the p@ss.words stay')
})

test('native options have secrets, too', () => {
  const redactor = new Redactor()
  redactor.learnOptions({
    rabbitmq: { managementUrl: 'http://guest:hush@host', sasl: { password: 'quiet', username: 'ann' } },
  })
  expect(redactor.redact('ann said hush and quiet')).toBe('ann said *** and ***')
})
