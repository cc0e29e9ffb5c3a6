/** The seed of this run: `WAYBILL_SEED`, to repeat one, or a new one. */
export function chooseSeed(): number {
  const given = Number(process.env.WAYBILL_SEED)
  return Number.isInteger(given) && given > 0 ? given : Math.floor(Math.random() * 2 ** 31) + 1
}

/** Numbers from 0 to 1 that follow from the seed ("mulberry32"). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** How many processes a case kills: `WAYBILL_KILLS`, or so many. */
export function killCount(usual: number): number {
  const given = Number(process.env.WAYBILL_KILLS)
  return Number.isInteger(given) && given > 0 ? given : usual
}
