import { InvalidArgumentError } from '@commander-js/extra-typings'
import { parseDuration } from '@waybill/core/driver'

/** A duration of the command line, such as `500ms`, `30s` or `5m`, in milliseconds. */
export function milliseconds(text: string): number {
  const parsed = parseDuration(text)
  if (parsed === undefined)
    throw new InvalidArgumentError('It has to be a duration such as 500ms, 30s, 5m or 1h.')
  return parsed
}

/** A whole number of at least 1. */
export function positive(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new InvalidArgumentError('It has to be a whole number of at least 1.')
  return Number(text)
}

/** For options that can be given several times. */
export function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value]
}
