export type { Host } from './cli.ts'
export { type ExitCode, exitCodes } from './failures/exit-codes.ts'
export type { Streams } from './output/output.ts'
export { run } from './run.ts'
