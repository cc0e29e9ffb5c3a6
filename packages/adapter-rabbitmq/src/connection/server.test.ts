import { expect, test } from 'vitest'
import { describeServer, requireSupported } from './server.ts'

test('compares versions by their numbers, not as text', () => {
  const has = (version: unknown) => describeServer(version).consumerTimeouts
  expect(['3.13.7', '4.0.5', '4.2.10', '4.2.0-rc.1'].map(has)).toEqual([false, false, false, false])
  expect(['4.3.0', '4.3.0-beta.2', '4.10.1', '10.0.0'].map(has)).toEqual([true, true, true, true])
})

test('takes a version it cannot read for the newest', () => {
  expect([undefined, 'dev'].map((version) => describeServer(version).consumerTimeouts)).toEqual([true, true])
})

test('refuses what is too old, or not RabbitMQ, by name', () => {
  expect(() => requireSupported('RabbitMQ', '3.9.27')).toThrow(/RabbitMQ 3\.9\.27; Waybill needs 3\.10/)
  expect(() => requireSupported('LavinMQ', '2.1.0')).toThrow(/LavinMQ, not RabbitMQ/)
  expect(() => requireSupported('RabbitMQ', '3.10.8')).not.toThrow()
})
