import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { type Duration, parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'

export interface S3StoreOptions {
  /** It has to be there. */
  readonly bucket: string
  /** Before the id of every body: `waybill/2026-11-29/…`. Default: `waybill/`. */
  readonly prefix?: string
  /** A client of your own, which is never closed by Waybill. Default: one made of `clientOptions`. */
  readonly client?: S3Client
  /** For the client that is made: region, credentials, endpoint and so on. Default: the SDK's default chain. */
  readonly clientOptions?: S3ClientConfig
  /** For one body, with the SDK's own tries, from 100 ms to 10 min. Default: `1m`. */
  readonly requestTimeout?: Duration
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null

const optionsSchema = z
  .strictObject({
    // Amazon S3 User Guide, "General purpose bucket naming rules", and ARNs of access points.
    bucket: z
      .string()
      .regex(/^(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:\S+)$/, 'expected the name of a bucket, or an ARN'),
    // Keys have 1024 bytes at most (Amazon S3 User Guide, "Naming Amazon S3 objects").
    prefix: z
      .string()
      .regex(
        /^(?!\/)[A-Za-z0-9!_.*'()/-]{0,800}$/,
        "expected letters, digits and !_.*'()/-, with no slash in front",
      )
      .refine((prefix) => !prefix.split('/').some((part) => part === '.' || part === '..'), {
        message: 'expected no "." or ".." between slashes',
      })
      .default('waybill/'),
    client: z
      .custom<S3Client>(
        (value) => isObject(value) && typeof Reflect.get(value as object, 'send') === 'function',
        'expected an S3Client',
      )
      .optional(),
    clientOptions: z.custom<S3ClientConfig>(isObject, 'expected options of an S3Client').optional(),
    requestTimeout: durationOption({ min: 100, max: 600_000 }).default(60_000),
  })
  .refine(({ client, clientOptions }) => client === undefined || clientOptions === undefined, {
    path: ['clientOptions'],
    message: 'is for the client that is made; leave it out, or client',
  })

/** @throws {ConfigurationError} with every problem. */
export function parseS3StoreOptions(options: S3StoreOptions) {
  return parseOptions(optionsSchema, options, 's3Store options')
}
