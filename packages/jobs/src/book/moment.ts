// The last that a Date can be (ECMAScript, "Time Values and Time Range").
const lastMoment = 8_640_000_000_000_000

/** In whole milliseconds, as every store keeps them, however long from now: what users give may be `Infinity`, or a fraction. */
export function momentAfter(now: number, delayMs: number): number {
  return Math.min(now + Math.ceil(delayMs), lastMoment)
}
