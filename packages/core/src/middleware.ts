export type { HandlerMiddleware } from './handling/processing.ts'
