/** The program of a worker: all services of the shop, in one style. */
import { runWorker } from '@waybill/example-workers'
import { isStyle, servicesOf } from './style.ts'

const { STYLE: style } = process.env
if (!isStyle(style)) throw new Error(`STYLE is ${style}`)
await runWorker(servicesOf(style))
