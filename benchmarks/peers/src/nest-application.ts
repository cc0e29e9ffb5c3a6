import 'reflect-metadata'
import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Ctx, EventPattern, type MicroserviceOptions, Payload } from '@nestjs/microservices'

/** A microservice with one event handler. Its decorators are called by hand, since Node does not run their syntax. */
export async function startNestApplication<Data, Context>(
  options: MicroserviceOptions,
  pattern: string,
  onEvent: (data: Data, context: Context) => Promise<void>,
): Promise<() => Promise<void>> {
  class Events {
    handle(data: Data, context: Context): Promise<void> {
      return onEvent(data, context)
    }
  }
  class Application {}
  const descriptor = Object.getOwnPropertyDescriptor(Events.prototype, 'handle')
  if (descriptor === undefined) throw new Error('The handler is gone')
  EventPattern(pattern)(Events.prototype, 'handle', descriptor)
  Payload()(Events.prototype, 'handle', 0)
  Ctx()(Events.prototype, 'handle', 1)
  Controller()(Events)
  Module({ controllers: [Events] })(Application)
  const application = await NestFactory.createMicroservice<MicroserviceOptions>(Application, {
    ...options,
    logger: false,
  })
  await application.listen()
  return () => application.close()
}
