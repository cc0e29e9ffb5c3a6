import type { Figure, Labels } from './figure.ts'

// Of one figure. Topics and groups come from definitions, so only generated ones would need more.
const mostSets = 1000

const other = 'other'

/** Makes the labels of each combination once, and so bounds how many there are: what comes later counts as `other`. */
export class LabelSets {
  readonly #sets = new Map<Figure, Map<string, Labels>>()

  /** The values in the order of the figure's labels. */
  of(figure: Figure, ...values: readonly (string | undefined)[]): Labels {
    let sets = this.#sets.get(figure)
    if (sets === undefined) {
      sets = new Map()
      this.#sets.set(figure, sets)
    }
    const key = values.join('\n')
    const known = sets.get(key)
    if (known !== undefined) return known
    const isFull = sets.size >= mostSets
    const named = figure.labels.flatMap((label, index) => {
      const value = values[index]
      return value === undefined ? [] : [[label, isFull ? other : value]]
    })
    const labels: Labels = Object.fromEntries(named)
    if (!isFull) sets.set(key, labels)
    return labels
  }
}
