import { stripVTControlCharacters } from 'node:util'

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const controls = /[\u0000-\u001f\u007f-\u009f]+/g

/** Text from a message, safe to show on a terminal: on one line, and without control characters that would act on it. */
export function legible(text: string): string {
  return stripVTControlCharacters(text).replaceAll(controls, ' ')
}

/** Cut to a width, with an ellipsis. */
export function shorten(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}
