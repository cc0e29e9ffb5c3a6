import { expect, test } from 'vitest'
import { placeOf } from './places.ts'

test.each([
  ['redis', 'redis://app:secret@Redis.internal:6379/0?tls=x', 'redis:redis.internal:6379:0'],
  ['kafka', 'kafka+ssl://two:9092,one:9092', 'kafka:one:9092,two:9092'],
  ['kafka', 'kafka://one:9092,two:9092', 'kafka:one:9092,two:9092'],
  ['sqs', 'sqs://eu-west-1', 'sqs:eu-west-1'],
  ['memory', 'memory:shop', 'memory:shop'],
])('a broker is known by its hosts and path: %s at %s', (driver, url, place) => {
  expect(placeOf(driver, url)).toBe(place)
})
