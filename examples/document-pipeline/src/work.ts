import { type ChildResult, isolated, type JobWorker } from '@waybill/jobs'
import type { Database } from '@waybill/sqlite'
import { z } from 'zod'
import { Analyse, Extract, Notify, Store } from './definitions.ts'

const analysis = z.object({ words: z.int(), longest: z.string() })

const wordsOnPage = 300

/** The handlers of all steps. `tell` is what the owner hears. */
export function handleSteps(worker: JobWorker, database: Database, tell: (text: string) => void): JobWorker {
  return worker
    .handle(Extract, ({ data: { text } }, { progress }) => {
      const words = text.split(/\s+/).filter((word) => word !== '')
      const pages: string[] = []
      for (let at = 0; at < words.length; at += wordsOnPage) {
        pages.push(words.slice(at, at + wordsOnPage).join(' '))
        progress(Math.min(1, (at + wordsOnPage) / words.length))
      }
      return { pages }
    })
    .handle(Analyse, isolated(new URL('./analyse.ts', import.meta.url)))
    .handle(Store, async ({ data }, { children, completeIn }) => {
      const result = resultOf(await children())
      // The row and the end of the step are there together, or neither is.
      await database.transaction(async (transaction) => {
        await transaction.query('INSERT INTO documents (id, words) VALUES ($1, $2)', [
          data.documentId,
          result.words,
        ])
        await completeIn(transaction, result)
      })
      return result
    })
    .handle(Notify, async ({ data }, { children }) => {
      const result = resultOf(await children())
      tell(`${data.owner}: ${data.documentId} has ${result.words} words`)
      return result
    })
}

function resultOf([before]: readonly ChildResult[]): z.output<typeof analysis> {
  return analysis.parse(before?.output)
}
