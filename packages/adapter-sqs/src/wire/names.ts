import { brokerName } from '@waybill/core/driver-kit'

/** The longest name of a queue, `.fifo` included (Amazon SQS API Reference, CreateQueue, QueueName). */
const longestQueueName = 80

/** What a name is made of. */
export interface Named {
  /** Put before every name, to keep environments of one account apart. */
  readonly prefix: string
  readonly topic: string
  readonly ordered: boolean
}

const rules = {
  joint: '_',
  // Queues and topics allow letters, digits, `-` and `_`; the last parts ours from one another, so it is not plain.
  isPlain: (part: string) => /^[A-Za-z0-9-]+$/.test(part),
  clean: (part: string) => part.replaceAll(/[._]/g, '-'),
}

/** Names of FIFO queues and topics end so (Amazon SQS API Reference, CreateQueue; Amazon SNS, CreateTopic). */
function suffix(ordered: boolean): string {
  return ordered ? '.fifo' : ''
}

/**
 * `orders_billing`, for its dead letters `orders_billing_dead`. Where topic or group has a character that queues do not
 * know, or the name would be too long, a digest tells it apart: `orders-v1_billing_0f343b0931ab`.
 */
export function queueName({ prefix, topic, ordered }: Named, group: string, dead = false): string {
  return brokerName([topic, group], {
    ...rules,
    prefix,
    maxLength: longestQueueName,
    suffix: `${dead ? '_dead' : ''}${suffix(ordered)}`,
    // Even the longest names of a queue and of its dead letters must begin alike.
    suffixRoom: `_dead${suffix(ordered)}`.length,
  })
}

/** What the names of all queues of a topic begin with. */
export function queueNamePrefix({ prefix, topic }: Pick<Named, 'prefix' | 'topic'>): string {
  // The longest names are cut to leave room for digest and suffix.
  return `${prefix}${rules.clean(topic)}_`.slice(0, longestQueueName - '_0123456789ab_dead.fifo'.length)
}

/** `orders`; names with other characters as in `queueName`. Topics may have 256 characters, so none is too long. */
export function topicName({ prefix, topic, ordered }: Named): string {
  return brokerName([topic], { ...rules, prefix, suffix: suffix(ordered) })
}

/** An ARN's parts: `arn:aws:sqs:eu-west-1:123456789012:orders`. */
const arnShape =
  /^arn:(?<partition>[^:]+):(?:sqs|sns):(?<region>[^:]+):(?<account>\d+):(?<name>[A-Za-z0-9_.-]+)$/

/** What users name a queue or topic of their own by. A name alone means our own account and region. */
export interface Reference {
  readonly name: string
  readonly account: string | undefined
  readonly region: string | undefined
  readonly arn: string | undefined
}

export function parseReference(text: string): Reference {
  const groups = arnShape.exec(text)?.groups
  const { name = text, account, region } = groups ?? {}
  return { name, account, region, arn: groups && text }
}

/** The topic of that name in a queue's partition, region and account. */
export function topicArnBeside(queueArn: string, name: string): string | undefined {
  const groups = arnShape.exec(queueArn)?.groups
  return groups && `arn:${groups.partition}:sns:${groups.region}:${groups.account}:${name}`
}
