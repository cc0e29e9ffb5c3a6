import { createHash } from 'node:crypto'

/** The longest name of a queue, `.fifo` included (Amazon SQS API Reference, CreateQueue, QueueName). */
const longestQueueName = 80

/** What a name is made of. */
export interface Named {
  /** Put before every name, to keep environments of one account apart. */
  readonly prefix: string
  readonly topic: string
  readonly ordered: boolean
}

/** Names of FIFO queues and topics end so (Amazon SQS API Reference, CreateQueue; Amazon SNS, CreateTopic). */
function suffix(ordered: boolean): string {
  return ordered ? '.fifo' : ''
}

/** Queues and topics allow letters, digits, `-` and `_`; the last parts ours from one another, so it is not plain. */
function isPlain(name: string): boolean {
  return /^[A-Za-z0-9-]+$/.test(name)
}

function clean(name: string): string {
  return name.replaceAll(/[._]/g, '-')
}

function digest(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('/')).digest('hex').slice(0, 12)
}

/**
 * `orders_billing`, for its dead letters `orders_billing_dead`. Where topic or group has a character that queues do not
 * know, or the name would be too long, a digest tells it apart: `orders-v1_billing_0f343b0931ab`.
 */
export function queueName({ prefix, topic, ordered }: Named, group: string, dead = false): string {
  const end = `${dead ? '_dead' : ''}${suffix(ordered)}`
  const plain = `${prefix}${topic}_${group}${end}`
  if (isPlain(topic) && isPlain(group) && plain.length <= longestQueueName) return plain
  const tail = `_${digest(topic, group)}`
  const room = longestQueueName - prefix.length - tail.length - end.length
  // Even the longest names of a queue and of its dead letters shall begin alike.
  const length = room - (dead ? 0 : '_dead'.length)
  return `${prefix}${`${clean(topic)}_${clean(group)}`.slice(0, length)}${tail}${end}`
}

/** `orders`; names with other characters as in `queueName`. Topics may have 256 characters, so none is too long. */
export function topicName({ prefix, topic, ordered }: Named): string {
  const plain = isPlain(topic) ? topic : `${clean(topic)}_${digest(topic)}`
  return `${prefix}${plain}${suffix(ordered)}`
}

/** An ARN's parts: `arn:aws:sqs:eu-west-1:123456789012:orders`. */
const arnShape =
  /^arn:(?<partition>[^:]+):(?:sqs|sns):(?<region>[^:]+):(?<account>\d+):(?<name>[A-Za-z0-9_.-]+)$/

/** What users name a queue or topic of their own by: a name or an ARN. */
export function parseReference(text: string): {
  readonly name: string
  readonly account: string | undefined
} {
  const groups = arnShape.exec(text)?.groups
  return { name: groups?.name ?? text, account: groups?.account }
}

/** The topic of that name in a queue's partition, region and account. */
export function topicArnBeside(queueArn: string, name: string): string | undefined {
  const groups = arnShape.exec(queueArn)?.groups
  return groups && `arn:${groups.partition}:sns:${groups.region}:${groups.account}:${name}`
}
