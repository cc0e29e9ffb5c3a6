/** The program of a worker: all services of the shop, in one style. */
import { runWorker } from '@waybill/example-workers'
import { sqlite } from '@waybill/sqlite'
import { isStyle, servicesOf } from './style.ts'

const { DATABASE: path = '', STYLE: style } = process.env
if (!isStyle(style)) throw new Error(`STYLE is ${style}`)
await runWorker(sqlite({ path }), servicesOf(style))
