import { existsSync } from 'node:fs'

/** Keeps its thread busy until a file exists; no timer runs meanwhile. */
export default function busy(
  { data }: { readonly data: { readonly path: string; readonly text: string } },
  context: { progress(value: string): void; log(text: string): void },
): string {
  if (data.text === 'never') throw Object.assign(new Error('never'), { code: 'permanent' })
  if (data.text === 'exit') process.exit(3)
  context.progress('busy')
  context.log(`waiting for ${data.text}`)
  while (!existsSync(data.path)) {
    // Busy.
  }
  return data.text.toUpperCase()
}
