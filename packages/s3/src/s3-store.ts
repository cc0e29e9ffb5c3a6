import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { systemClock } from '@waybill/core/driver'
import { bounded } from '@waybill/core/driver-kit'
import type { ClaimStore } from '@waybill/core/stages'
import { isAbsent, toStoreError } from './errors.ts'
import { parseS3StoreOptions, type S3StoreOptions } from './options.ts'

const claimId = /^\d{4}-\d{2}-\d{2}\/[a-z0-9][a-z0-9.-]{0,99}$/

/**
 * Keeps the bodies of `claimCheck` in a bucket of Amazon S3, or of a server that speaks like it. Bodies are removed by age
 * by a lifecycle rule of the bucket for the prefix, which this does not make. Nothing is asked of the service before the
 * first body.
 *
 * @example
 * const store = s3Store({ bucket: 'shop-bodies', clientOptions: { region: 'eu-west-1' } })
 * const bus = await connect({ url, stages: [claimCheck({ store, above: '200kb' })] })
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function s3Store(options: S3StoreOptions): ClaimStore {
  const {
    bucket: Bucket,
    prefix,
    client: given,
    clientOptions,
    requestTimeout,
  } = parseS3StoreOptions(options)
  let client = given
  const call = async <Result>(
    what: string,
    id: string,
    run: (client: S3Client, place: { Bucket: string; Key: string }, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> => {
    if (!claimId.test(id))
      throw new TypeError(`"${String(id).slice(0, 200)}" is no id of a claim, such as 2026-11-29/0199f3a2`)
    const s3 = client ?? new S3Client({ ...clientOptions })
    client = s3
    const Key = prefix + id
    const ended = new AbortController()
    const bounds = {
      clock: systemClock,
      timeoutMs: requestTimeout,
      what: `${what} ${Key} in the bucket ${Bucket}`,
    }
    try {
      // Also what does not heed the signal, such as a body that stops arriving, ends in time.
      return await bounded(run(s3, { Bucket, Key }, ended.signal), bounds)
    } catch (error) {
      throw toStoreError(error, `${bounds.what} failed`)
    } finally {
      ended.abort()
    }
  }
  return {
    put: (id, body) =>
      call('Putting', id, async (s3, place, abortSignal) => {
        const command = new PutObjectCommand({
          ...place,
          Body: body,
          ContentType: 'application/octet-stream',
        })
        await s3.send(command, { abortSignal })
      }),
    get: (id) =>
      call('Getting', id, async (s3, place, abortSignal) => {
        try {
          const { Body } = await s3.send(new GetObjectCommand(place), { abortSignal })
          return await Body?.transformToByteArray()
        } catch (error) {
          if (isAbsent(error)) return undefined
          throw error
        }
      }),
    remove: (id) =>
      call('Removing', id, async (s3, place, abortSignal) => {
        await s3.send(new DeleteObjectCommand(place), { abortSignal })
      }),
  }
}
