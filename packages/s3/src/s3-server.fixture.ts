import { createRequire } from 'node:module'

interface Server {
  run(): Promise<{ readonly address: string; readonly port: number }>
  close(): Promise<void>
}
type ServerClass = new (options: Readonly<Record<string, unknown>>) => Server

// It has no types.
const S3rver: ServerClass = createRequire(import.meta.url)('s3rver')

/** A server that speaks S3, on a free port of this machine, with one bucket. */
export async function startS3(directory: string, bucket: string) {
  const server = new S3rver({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory },
    configureBuckets: [{ name: bucket, configs: [] }],
  })
  const { address, port } = await server.run()
  return {
    close: () => server.close(),
    clientOptions: {
      endpoint: `http://${address}:${port}`,
      region: 'eu-west-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
  }
}
