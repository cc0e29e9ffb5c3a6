import { defineJob } from '@waybill/jobs'
import { z } from 'zod'

/** Pages of text of an uploaded document. The whole document is in the job's data: only its id travels over the broker. */
export const Extract = defineJob('extract-pages', {
  input: z.object({ documentId: z.string(), text: z.string() }),
  output: z.object({ pages: z.array(z.string()) }),
  progress: z.number(),
})

/** Keeps a CPU busy, so it runs in a thread of its own. */
export const Analyse = defineJob('analyse-pages', {
  input: z.object({ documentId: z.string() }),
  output: z.object({ words: z.int(), longest: z.string() }),
})

export const Store = defineJob('store-document', {
  input: z.object({ documentId: z.string() }),
  output: z.object({ words: z.int(), longest: z.string() }),
})

/** The last step, whose id is the document's. */
export const Notify = defineJob('notify-owner', {
  input: z.object({ documentId: z.string(), owner: z.string() }),
  output: z.object({ words: z.int(), longest: z.string() }),
})
