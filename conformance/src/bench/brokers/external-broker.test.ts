import { describe, expect, it } from 'vitest'
import { ExternalBroker } from './external-broker.ts'
import { kafka } from './kafka.ts'
import { rabbitmq } from './rabbitmq.ts'

describe('ExternalBroker', () => {
  it('is used by its URL, with the default port where none is given', async () => {
    const broker = new ExternalBroker('rabbitmq', rabbitmq, 'amqp://me:secret@mq.example/vhost')
    expect(broker).toMatchObject({ host: 'mq.example', port: 5672, canRestart: false })
    await using proxy = await broker.openProxy()
    expect(proxy.url).toBe(`amqp://me:secret@127.0.0.1:${proxy.port}/vhost`)
  })

  it('rejects what would need its container, saying which variable to unset', async () => {
    const broker = new ExternalBroker('kafka', kafka, 'kafka://broker.example:9092')
    await expect(broker.restart()).rejects.toThrow(/Unset WAYBILL_KAFKA_URL/)
    await expect(broker.openProxy()).rejects.toThrow(/openProxy\(\) needs a broker in a container of ours/)
    await expect(broker.stop()).resolves.toBeUndefined()
  })

  it('names the variable when it holds no URL', () => {
    expect(() => new ExternalBroker('kafka', kafka, 'localhost')).toThrow(
      'WAYBILL_KAFKA_URL is not a URL: localhost',
    )
  })
})
