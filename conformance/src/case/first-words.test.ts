import {
  definedOtherwise,
  missingRights,
  refusedCredentials,
  tlsFailed,
  unreachable,
} from '@waybill/core/driver-kit'
import { expect, test } from 'vitest'
import { assertFirstWords } from './first-words.ts'

const peer = { broker: 'NATS', address: 'localhost:4222' }

test('the sentences of the kit are those of the suite', () => {
  const tls = { ...peer, reason: 'wrong version number', secureScheme: 'tls' }
  assertFirstWords('credentials', refusedCredentials({ ...peer, user: 'app' }).message, ['app', 'NATS'])
  assertFirstWords('credentials', refusedCredentials({ ...peer, user: undefined }).message)
  assertFirstWords('address', unreachable({ ...peer, reason: 'ECONNREFUSED' }).message, ['localhost:4222'])
  assertFirstWords('tls', tlsFailed({ ...tls, isOurs: true }).message)
  assertFirstWords('tls', tlsFailed({ ...tls, isOurs: false }).message)
  const denied = { broker: 'NATS', what: 'Sending to orders', reason: 'permissions violation' }
  assertFirstWords('rights', missingRights(denied).message, ['orders', 'NATS'])
  assertFirstWords('rights', missingRights({ ...denied, ...peer, user: 'app', grant: 'it' }).message, ['app'])
  const ours = { what: 'Topic orders', ours: 'ordered', theirs: 'not ordered' }
  assertFirstWords('definition', definedOtherwise(ours).message, ['orders', 'not ordered'])
})

test.each([
  ['credentials', 'Authentication failed'],
  ['credentials', 'NATS at localhost:4222 refused user "app"'],
  ['address', 'connect ECONNREFUSED 127.0.0.1:4222'],
  ['tls', 'write EPROTO'],
  ['rights', 'Sending to orders: permissions violation'],
  ['definition', 'PRECONDITION_FAILED - inequivalent arg'],
] as const)('for wrong %s, "%s" is none of them', (trouble, message) => {
  expect(() => assertFirstWords(trouble, message)).toThrow(/not the sentence/)
})

test('a sentence that leaves out a name is refused', () => {
  const { message } = refusedCredentials({ ...peer, user: 'app' })
  expect(() => assertFirstWords('credentials', message, ['billing'])).toThrow(/does not name billing/)
})
