// The number of an entry within its millisecond has 64 bits (Redis documentation, "Redis Streams", entry IDs).
const highestNumber = 2n ** 64n - 1n

function idParts(id: string): readonly [time: bigint, number: bigint] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(id)
  return [BigInt(match?.[1] ?? 0), BigInt(match?.[2] ?? 0)]
}

/** When the entry came, in milliseconds since the epoch by the server's clock. */
export function timeOfId(id: string): number {
  return Number(idParts(id)[0])
}

/** The id of an entry that can come next after this one. */
export function idAfter(id: string): string {
  const [time, number] = idParts(id)
  return number < highestNumber ? `${time}-${number + 1n}` : `${time + 1n}-0`
}

export function idBefore(id: string): string {
  const [time, number] = idParts(id)
  if (number > 0n) return `${time}-${number - 1n}`
  return time > 0n ? `${time - 1n}-${highestNumber}` : '0-0'
}

export function compareIds(one: string, other: string): number {
  const [time, number] = idParts(one)
  const [otherTime, otherNumber] = idParts(other)
  return Number(time - otherTime) || Math.sign(Number(number - otherNumber))
}
