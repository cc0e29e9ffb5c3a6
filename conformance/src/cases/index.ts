import type { Section } from '../case.ts'

/** The contract, in its order. */
export const sections: readonly Section[] = []
