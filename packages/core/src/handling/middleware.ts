import type { HandlerContext } from '../deliveries/handler-context.ts'
import type { Middleware } from '../lib/compose.ts'

export type HandlerMiddleware = Middleware<HandlerContext>
