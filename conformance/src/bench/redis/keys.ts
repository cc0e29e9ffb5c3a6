import type { Topic } from '@waybill/core'

/** Where the Redis adapter keeps a topic, as its README says. */
export const base = ({ name }: Pick<Topic, 'name'>) => `waybill:{${name}}`

function suffixes({ ordered, partitions }: Topic): readonly string[] {
  if (!ordered) return ['stream:high', 'stream']
  return Array.from({ length: partitions }, (_, partition) => `stream:${partition}`)
}

export const streams = (topic: Topic) => suffixes(topic).map((suffix) => `${base(topic)}:${suffix}`)

/** All streams that a group reads. */
export const sources = (topic: Topic, group: string) => [
  ...streams(topic),
  ...suffixes(topic).map((suffix) => `${base(topic)}:group:${group}:${suffix}`),
]
