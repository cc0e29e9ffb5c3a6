import type { OutboundMessage } from '../driver.ts'

/** Which CloudEvents attributes are repeated as headers: `required` are id, source, type and specversion. */
export type Mirror = 'required' | 'all' | 'none'

// CloudEvents 1.0.2, "REQUIRED Attributes".
const required = ['specversion', 'id', 'source', 'type']

/**
 * The names of the attributes to repeat in the transport's headers, those that filters look at first. All of them when the
 * body is no event, whatever the option: then the headers alone say them.
 *
 * @example
 * for (const name of mirroredNames(message, options.mirrorAttributes)) headers[`ce_${name}`] = message.attributes[name]
 */
export function mirroredNames(
  { attributes, contentType }: Pick<OutboundMessage, 'attributes' | 'contentType'>,
  mirror: Mirror,
): readonly string[] {
  const isEvent = contentType.startsWith('application/cloudevents')
  if (isEvent && mirror !== 'all') return mirror === 'none' ? [] : required
  const names = Object.keys(attributes)
  return [
    ...required.filter((name) => names.includes(name)),
    ...names.filter((name) => !required.includes(name)),
  ]
}
