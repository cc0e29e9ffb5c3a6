import { brokers } from '../contender.ts'
import { medianOf, type WorkResult } from '../results.ts'
import { figure, titleOf } from './figure.ts'

const width = 860
const margin = 20
const panelWidth = (width - 3 * margin) / 2
const labelWidth = 150
const valueWidth = 60
const barHeight = 16
const rowHeight = 22
const headHeight = 58

/** The letters that the chart shows, left and right. */
const columns = [
  { letter: 'a', title: 'Sends a second, 256 callers' },
  { letter: 'b', title: 'Messages handled a second, concurrency 100' },
] as const

/** Rates of all contenders as bars, a row of panels a broker; each panel has its own scale. */
export function renderChart(results: readonly WorkResult[]): string {
  let top = headHeight
  const panels: string[] = []
  for (const broker of brokers) {
    const found = columns.map(({ letter }) =>
      results.find((each) => each.broker === broker && each.letter === letter),
    )
    const rows = Math.max(...found.map((result) => result?.contenders.length ?? 0))
    if (rows === 0) continue
    panels.push(text(margin, top, titleOf(broker), 'broker'))
    for (const [column, result] of found.entries()) {
      if (result !== undefined) panels.push(panel(result, margin + column * (panelWidth + margin), top + 14))
    }
    top += rows * rowHeight + 44
  }
  const heads = columns.map(({ title }, column) =>
    text(margin + column * (panelWidth + margin), 26, title, 'head'),
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" role="img" aria-label="Messages a second by broker and contender">`,
    '<style>',
    'text { font: 12px system-ui, sans-serif; fill: #24292f }',
    '.head { font-size: 14px; font-weight: 600 } .broker { font-size: 13px; font-weight: 600 }',
    '.bar { fill: #afb8c1 } .waybill { fill: #0969da } .end { text-anchor: end }',
    '</style>',
    `<rect width="${width}" height="${top}" rx="6" fill="#ffffff"/>`,
    ...heads,
    ...panels,
    '</svg>',
    '',
  ].join('\n')
}

function panel({ contenders }: WorkResult, left: number, top: number): string {
  const rates = contenders.map((each) => ({ name: each.contender, rate: medianOf(each, 'rate') }))
  const most = Math.max(...rates.map(({ rate }) => (Number.isFinite(rate) ? rate : 0)))
  const room = panelWidth - labelWidth - valueWidth
  return rates
    .map(({ name, rate }, index) => {
      const y = top + index * rowHeight
      const length = Number.isFinite(rate) ? Math.max(1, (rate / most) * room) : 0
      const kind = name === 'waybill' ? 'bar waybill' : 'bar'
      const bar = `<rect class="${kind}" x="${left + labelWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`
      const baseline = y + barHeight - 4
      return [
        text(left + labelWidth - 8, baseline, titleOf(name), 'end'),
        bar,
        text(left + labelWidth + length + 6, baseline, figure(rate), 'value'),
      ].join('\n')
    })
    .join('\n')
}

function text(x: number, y: number, content: string, kind: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escaped}</text>`
}
