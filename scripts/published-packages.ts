/** The packages that are published, by the name of their folder. */
export const publishedFolders = [
  'packages/core',
  'packages/adapter-rabbitmq',
  'packages/adapter-kafka',
  'packages/adapter-sqs',
  'packages/adapter-redis',
  'packages/s3',
  'packages/database',
  'packages/postgres',
  'packages/sqlite',
  'packages/figures',
  'packages/opentelemetry',
  'packages/prometheus',
  'packages/cli',
  'packages/jobs',
  'packages/bridge',
  'conformance',
] as const
