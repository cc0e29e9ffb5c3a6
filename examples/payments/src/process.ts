/** The program of a worker: the payment consumer, and the one that sends receipts. */
import { runWorker } from '@waybill/example-workers'
import { sqlite } from '@waybill/sqlite'
import { paymentServices } from './payments.ts'
import { Provider } from './provider.ts'

const { PROVIDER: providerPath = '' } = process.env
const provider = new Provider(sqlite({ path: providerPath }))
await runWorker((effects) => paymentServices(effects, provider))
