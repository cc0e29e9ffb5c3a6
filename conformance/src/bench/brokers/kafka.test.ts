import { describe, expect, it } from 'vitest'
import { kafka } from './kafka.ts'

const placement = {
  kind: 'built',
  host: '127.0.0.1',
  port: 20_001,
  proxies: [{ targetPort: 20_002, listenPort: 20_003 }],
  configuration: { 'message.max.bytes': '65536', 'min.insync.replicas': '2' },
} as const

describe('kafka', () => {
  const plan = kafka.plan(placement)
  const lines = plan.files?.[0]?.content.split('\n') ?? []

  it('tells clients the fixed host port, and those behind a proxy the port of the proxy', () => {
    expect(plan.ports).toEqual([
      { container: 9092, host: 20_001 },
      { container: 9100, host: 20_002 },
    ])
    expect(lines).toContain(
      'advertised.listeners=CLIENT://127.0.0.1:20001,INTERNAL://localhost:9094,PROXIED0://127.0.0.1:20003',
    )
  })

  it("lets the caller's settings win", () => {
    expect(lines).toContain('message.max.bytes=65536')
    expect(lines.filter((line) => line.startsWith('min.insync.replicas='))).toEqual(['min.insync.replicas=2'])
  })
})
