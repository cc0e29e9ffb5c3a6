import { MessagingError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { replyCodeOf, toConnectError, toDriverError, toPublishError } from './errors.ts'
import { parseRabbitmqOptions } from './options.ts'

function amqpError(code: number | string | undefined, message: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

test.each([
  [404, 'topology-missing', true],
  [406, 'topology-mismatch', false],
  [320, 'disconnected', true],
])('reply code %d means %s', (code, expected, retryable) => {
  const error = toDriverError(amqpError(code, 'closed by server'), 'Doing it failed')
  expect(error).toMatchObject({ code: expected, retryable, message: 'Doing it failed: closed by server' })
})

test('reply code 403 means access-denied, and says what to grant', () => {
  const error = toDriverError(amqpError(403, "ACCESS_REFUSED - refused for user 'app'"), 'Doing it failed')
  expect(error).toMatchObject({ code: 'access-denied', retryable: false, fate: 'not-sent' })
  expect(error.message).toMatch(/^Doing it failed: RabbitMQ does not allow this .*user 'app'.*; grant /)
})

test('what the network says depends on whether we were connected', () => {
  const refused = amqpError('ECONNREFUSED', 'connect ECONNREFUSED')
  expect(toDriverError(refused, 'x', { stage: 'connecting' })).toMatchObject({
    code: 'connection-failed',
    retryable: true,
  })
  expect(toDriverError(refused, 'x')).toMatchObject({ code: 'disconnected', retryable: true })
})

test('a refused login is told from the handshake’s text', () => {
  const refused = amqpError(
    undefined,
    'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "…"',
  )
  expect(toDriverError(refused, 'x', { stage: 'connecting' })).toMatchObject({
    code: 'access-denied',
    retryable: false,
  })
})

test('a certificate that will not do is no reason to try again', () => {
  const error = toDriverError(amqpError('DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate'), 'x', {
    stage: 'connecting',
  })
  expect(error).toMatchObject({ code: 'connection-failed', retryable: false })
})

test('an error of ours stays what it is, and the client’s is its cause', () => {
  const ours = new MessagingError('closed', 'closed')
  expect(toDriverError(ours, 'x')).toBe(ours)
  const theirs = amqpError(404, 'gone')
  expect(toDriverError(theirs, 'x').cause).toBe(theirs)
  expect(replyCodeOf(toDriverError(theirs, 'x'))).toBe(404)
})

test('a channel closed over one message leaves the fate of the others unknown', () => {
  const closed = amqpError(
    404,
    `Channel closed by server: 404 (NOT-FOUND) with message "no exchange 'orders' in vhost '/'"`,
  )
  expect(toPublishError(closed, 'orders', 10)).toMatchObject({
    code: 'topology-missing',
    fate: 'not-sent',
    retryable: true,
  })
  expect(toPublishError(closed, 'payments', 10)).toMatchObject({
    code: 'disconnected',
    fate: 'unknown',
    retryable: true,
  })
})

test('of the messages under way only the oversized one is too large', () => {
  const closed = amqpError(406, 'message size 2000 is larger than configured max size 1000')
  expect(toPublishError(closed, 'orders', 2000)).toMatchObject({
    code: 'too-large',
    fate: 'not-sent',
    retryable: false,
  })
  expect(toPublishError(closed, 'orders', 10)).toMatchObject({ code: 'disconnected', fate: 'unknown' })
})

test('a limit of the virtual host passes, though its reply code is that of a mismatch', () => {
  const refused = amqpError(
    406,
    "PRECONDITION_FAILED - cannot declare queue 'q': queue limit in vhost '/' (0) is reached",
  )
  expect(toDriverError(refused, 'x')).toMatchObject({ code: 'failed', retryable: true })
})

test('what goes wrong first is told in one sentence that names both sides', () => {
  const settings = parseRabbitmqOptions(parseBrokerUrl('amqp://me:secret@host/shop'), undefined)
  const told = (code: string | undefined, message: string) =>
    toConnectError(amqpError(code, message), { address: 'host:5672', settings })
  const login = told(undefined, 'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "…"')
  expect(login).toMatchObject({ code: 'access-denied', retryable: false })
  expect(login.message).toMatch(/host:5672 refused user "me"/)
  const tenant = told(undefined, 'Expected ConnectionOpenOk; got <ConnectionClose>')
  expect(tenant.message).toMatch(/virtual host "shop".*user "me"/)
  expect(told('ECONNREFUSED', 'connect ECONNREFUSED')).toMatchObject({
    code: 'connection-failed',
    retryable: true,
  })
  expect(told('CERT_HAS_EXPIRED', 'certificate has expired').retryable).toBe(false)
})

test('TLS on one side only is told as such, and tried again, since a broker that is starting hangs up too', () => {
  const told = (url: string, message: string) =>
    toConnectError(new Error(message), {
      address: 'host:5672',
      settings: parseRabbitmqOptions(parseBrokerUrl(url), undefined),
    })
  const ours = told(
    'amqps://host',
    'Client network socket disconnected before secure TLS connection was established',
  )
  expect(ours).toMatchObject({ code: 'connection-failed', retryable: true })
  expect(ours.message).toMatch(/check that this port speaks TLS/)
  const theirs = told('amqp://host', 'Socket closed abruptly during opening handshake')
  expect(theirs).toMatchObject({ code: 'connection-failed', retryable: true })
  expect(theirs.message).toMatch(/expect TLS; write amqps:/)
  expect(told('amqp://host', 'Invalid frame').retryable).toBe(false)
  const http = told('amqp://host', 'Frame size 1345270062 exceeds maxFrameSize 67108864')
  expect(http).toMatchObject({ code: 'connection-failed', retryable: true })
  expect(http.message).toMatch(
    /host:5672 cannot be reached \(what answers there speaks HTTP.*check host and port/,
  )
})
