import { readFileSync } from 'node:fs'
import { type Figure, figures } from '@waybill/figures'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { prometheusName } from './collectors.ts'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

const names = new Map(Object.values<Figure>(figures).map((figure) => [prometheusName(figure), figure]))

/** The metrics that a text names, without the ends that a histogram adds. */
function namesIn(text: string): string[] {
  const found = text.match(/\bwaybill_[a-z_]+/g) ?? []
  return [...new Set(found.map((name) => name.replace(/_(bucket|count|sum)$/, '')))]
}

const dashboard = z.object({
  panels: z.array(
    z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) }),
  ),
})

test('alert rules name metrics that there are', () => {
  const named = namesIn(read('../operations/alerts.yml'))
  expect(named.length).toBeGreaterThan(8)
  expect(named.filter((name) => !names.has(name))).toEqual([])
})

test('the dashboard shows metrics that there are, by labels that they have', () => {
  const { panels } = dashboard.parse(JSON.parse(read('../operations/dashboard.json')))
  const wrong = panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ expr }) => {
      const labels = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
      return namesIn(expr).flatMap((name) => {
        const known: readonly string[] = [...(names.get(name)?.labels ?? []), 'le']
        const unknown = labels.filter((label) => !known.includes(label))
        return names.has(name) && unknown.length === 0 ? [] : [`${title}: ${name} by ${unknown}`]
      })
    }),
  )
  expect(wrong).toEqual([])
})

test('the documentation names all of them', () => {
  const text = read('../../../docs/metrics.md')
  const missing = [...names.keys()].filter((name) => {
    // Written as `waybill_group_waiting`, `_in_flight`.
    const end = name.replace(/^waybill_(group|outbox)/, '')
    return !text.includes(`\`${name}\``) && !text.includes(`\`${end}\``)
  })
  expect(missing).toEqual([])
})
