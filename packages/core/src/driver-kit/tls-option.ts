import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** A certificate or key: PEM text, its bytes, or the path of a file that is read when connecting. */
export type Pem = string | Uint8Array

/** TLS options as users give them; the same for every adapter. */
export interface TlsOptions {
  /** The authorities to trust in place of Node's. */
  readonly ca?: Pem | readonly Pem[]
  /** The client's certificate, with its `key`. */
  readonly cert?: Pem
  readonly key?: Pem
  /** Certificate and key in one PKCS #12 archive: its bytes, or the path of a file. */
  readonly pfx?: Pem
  /** Of `key` or `pfx`. */
  readonly passphrase?: string
  /** The name the server's certificate must bear, if it is not the host's. */
  readonly servername?: string
  /** Whether the server's certificate must be valid. Default: true. */
  readonly rejectUnauthorized?: boolean
  /** Default: Node's. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

/** For Node's `tls.connect`. It has no undefined members, because some clients stumble over them. */
export interface TlsSettings {
  readonly ca?: string | Buffer | (string | Buffer)[]
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly pfx?: Buffer
  readonly passphrase?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

export interface TlsOptionRules {
  /** Whether the URL's scheme asks for TLS. */
  readonly isSecure: boolean
  /** The scheme that asks for it, for people: `amqps`. */
  readonly secureScheme: string
  /** Whether the option alone may turn TLS on too, under a scheme that does not. */
  readonly byOption: boolean
}

/**
 * The schema of a `tls` option. Its output is undefined without TLS. A secure scheme cannot be overruled: `false` is refused
 * there. TLS options under a scheme without TLS are refused too, unless `byOption` lets them turn it on.
 *
 * @example
 * const optionsSchema = (url: BrokerUrl) =>
 *   z.strictObject({
 *     tls: tlsOption({ isSecure: url.scheme === 'amqps', secureScheme: 'amqps', byOption: false }),
 *   })
 */
export function tlsOption({ isSecure, secureScheme, byOption }: TlsOptionRules) {
  return z
    .custom<boolean | TlsOptions | undefined>()
    .optional()
    .transform((value, context): TlsSettings | undefined => {
      const refuse = (message: string) => {
        context.addIssue({ code: 'custom', message })
        return z.NEVER
      }
      if (isSecure && value === false) {
        return refuse(`the scheme ${secureScheme}: asks for TLS; drop this, or use the scheme without TLS`)
      }
      if (!isSecure && !byOption && value !== undefined && value !== false) {
        return refuse(`the URL's scheme does not use TLS; write ${secureScheme}: instead`)
      }
      if (value === undefined || value === false) return isSecure ? {} : undefined
      if (value === true) return {}
      const parsed = tlsSchema().safeParse(value)
      if (parsed.success) return parsed.data
      // A union of schemas would only say that nothing matched.
      for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path, message })
      return z.NEVER
    })
}

function tlsSchema() {
  return z
    .strictObject({
      ca: z
        .custom<Pem | readonly Pem[]>(
          (value) => isPem(value) || (Array.isArray(value) && value.length > 0 && value.every(isPem)),
          `${pemHint}, or several of them`,
        )
        .transform((value, context) =>
          isPem(value) ? readPem(value, context) : value.map((each) => readPem(each, context)),
        )
        .optional(),
      cert: z.custom<Pem>(isPem, pemHint).transform(readPem).optional(),
      key: z.custom<Pem>(isPem, pemHint).transform(readPem).optional(),
      pfx: z.custom<Pem>(isPem, 'expected bytes or the path of a file').transform(readArchive).optional(),
      passphrase: z.string().optional(),
      servername: z.string().min(1).optional(),
      rejectUnauthorized: z.boolean().optional(),
      minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).optional(),
    })
    .refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
      message: '`cert` and `key` belong together: give both or neither',
    })
    .refine(({ cert, pfx }) => cert === undefined || pfx === undefined, {
      message: 'give either `pfx`, or `cert` and `key`',
    })
    .transform(withoutUndefined)
}

const pemHint = 'expected PEM text, its bytes or the path of a file'

function isPem(value: unknown): value is Pem {
  return (typeof value === 'string' && value !== '') || value instanceof Uint8Array
}

function readPem(value: Pem, context: z.core.$RefinementCtx): string | Buffer {
  return typeof value === 'string' && value.includes('-----BEGIN ') ? value : readArchive(value, context)
}

/** Text that is not PEM is taken for a path, so the message names both. It never repeats the text. */
function readArchive(value: Pem, context: z.core.$RefinementCtx): Buffer {
  if (typeof value !== 'string') return Buffer.from(value)
  try {
    return readFileSync(value)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    context.addIssue({ code: 'custom', message: `neither PEM text nor a file that can be read${code}` })
    return z.NEVER
  }
}

type Defined<Values> = { [Name in keyof Values]: Exclude<Values[Name], undefined> }

function withoutUndefined<Values extends object>(values: Values): Defined<Values>
function withoutUndefined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
