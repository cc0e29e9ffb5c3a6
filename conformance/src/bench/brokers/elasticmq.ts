import type { BrokerDefinition } from './definition.ts'
import { sqs } from './sqs.ts'

/** Queue URLs lead where the request that created the queue went (ElasticMQ README, "Configuration"). */
const configuration = `
include classpath("application.conf")
node-address { host = "*" }
rest-sqs { sqs-limits = strict }
aws { region = us-east-1, accountId = "000000000000" }
`

/** ElasticMQ, an emulator of SQS without SNS that keeps everything in memory: a second opinion on what the adapter relies on. */
export const elasticmq: BrokerDefinition = {
  recipe: 'elasticmq',
  officialImage: 'softwaremill/elasticmq:1.7.1',
  imageVariable: 'WAYBILL_ELASTICMQ_IMAGE',
  urlVariable: 'WAYBILL_ELASTICMQ_URL',
  proxyListeners: 0,
  defaultPort: 9324,
  url: (host, port) => `${sqs.url(host, port)}&fanOut=never`,
  plan: ({ port }) => ({
    ports: [{ container: 9324, host: port }],
    files: [{ target: '/opt/elasticmq.conf', content: configuration }],
  }),
  probe: sqs.probe,
}
