import { PermanentError } from '@waybill/core'
import type { SagaDefinition } from './define-saga.ts'

/**
 * Data as the schema gives it.
 *
 * @throws {PermanentError} listing every problem.
 */
export async function parseData<Data>(
  { name, data: schema }: SagaDefinition<Data>,
  id: string,
  data: unknown,
): Promise<Data> {
  const result = await schema['~standard'].validate(data)
  if (result.issues === undefined) return result.value
  const problems = result.issues.map(({ path = [], message }) => {
    const at = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return `\n  - ${at === '' ? message : `${at}: ${message}`}`
  })
  throw new PermanentError(`The data of saga "${name}" ${id} does not fit its schema:${problems.join('')}`)
}

/**
 * Data as it can be stored: what comes back as JSON has to fit the schema.
 *
 * @throws {PermanentError} when it does not.
 */
export async function writtenData<Data>(
  definition: SagaDefinition<Data>,
  id: string,
  data: Data,
): Promise<unknown> {
  const text: string | undefined = JSON.stringify(data)
  const written: unknown = text === undefined ? undefined : JSON.parse(text)
  await parseData(definition, id, written)
  return written
}
