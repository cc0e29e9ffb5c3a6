import type { Step, Work } from '../work.ts'

const measure: Step = async ({ contender, destination }) => {
  const startedAt = performance.now()
  let importedAt = Number.NaN
  let connectedAt = Number.NaN
  const close = await contender.coldStart?.(destination.url, {
    imported: () => {
      importedAt = performance.now()
    },
    connected: () => {
      connectedAt = performance.now()
    },
  })
  await close?.()
  return { readings: { import: importedAt - startedAt, connect: connectedAt - importedAt } }
}

export const coldStart: Work = {
  letter: 'h',
  title: 'cold start: importing the client, then connecting',
  ordered: false,
  metrics: [
    { name: 'import', title: 'import', unit: 'ms', better: 'lower' },
    { name: 'connect', title: 'connect', unit: 'ms', better: 'lower' },
  ],
  steps: [measure],
}
