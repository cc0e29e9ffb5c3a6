import { context, type Link, ROOT_CONTEXT, type Span, SpanKind, trace } from '@opentelemetry/api'
import type { AddedJobs, HandledJob, MeasuredJobs, Recorder } from '@waybill/figures'
import { type Failure, since, typeOf } from './failure.ts'
import { attributeNames } from './names.ts'
import { end, type Spans } from './spans.ts'
import { readTraceContext, writeTraceContext } from './trace-context.ts'

interface Following {
  readonly joined: boolean
  /** Undefined: no spans. */
  readonly spans: Spans | undefined
  /** Undefined: no metrics. */
  readonly recorder: Recorder | undefined
}

/** Follows the jobs of a store: who adds them, and each attempt. */
export function followJobs(jobs: MeasuredJobs, following: Following): void {
  jobs.use({
    add: (addition, next) => added(following, addition, next),
    handle: (run, next) => handled(following, run, next),
  })
}

async function added(
  { spans, recorder }: Following,
  addition: AddedJobs,
  next: () => Promise<void>,
): Promise<void> {
  const { name, queue, count } = addition
  const span = spans?.start('add', name, undefined, {
    kind: SpanKind.PRODUCER,
    type: 'send',
    parent: context.active(),
    attributes: {
      [attributeNames.job]: name,
      [attributeNames.topic]: queue,
      ...(count > 1 && { [attributeNames.batchSize]: count }),
    },
  })
  // Where there is no span, what others have given stays.
  addition.trace = writeTraceContext(span?.spanContext()) ?? addition.trace
  await followed(span, next, (failure) => recorder?.jobsAdded(addition, typeOf(failure)))
}

async function handled(
  { spans, recorder, joined }: Following,
  { id, name, queue, attempt, trace: carried }: HandledJob,
  next: () => Promise<void>,
): Promise<void> {
  const creation = carried && readTraceContext(carried)
  // The message that a broker has handed it out by, if that is followed too.
  const message = trace.getSpanContext(context.active())
  const links: Link[] = [creation, message].flatMap((each) => (each === undefined ? [] : [{ context: each }]))
  const parent =
    joined && creation !== undefined ? trace.setSpanContext(ROOT_CONTEXT, creation) : ROOT_CONTEXT
  const span = spans?.start('process', name, undefined, {
    kind: SpanKind.CONSUMER,
    parent,
    links,
    attributes: {
      [attributeNames.job]: name,
      [attributeNames.topic]: queue,
      [attributeNames.messageId]: id,
      [attributeNames.attempt]: attempt,
    },
  })
  const startedAt = performance.now()
  await followed(span, next, (failure) => recorder?.jobHandled(name, since(startedAt), typeOf(failure)))
}

/** Within the span, which then ends. */
async function followed(
  span: Span | undefined,
  next: () => Promise<void>,
  told: (failure: Failure | undefined) => void,
): Promise<void> {
  let failure: Failure | undefined
  try {
    await (span === undefined ? next() : context.with(trace.setSpan(context.active(), span), next))
  } catch (error) {
    failure = { error }
    throw error
  } finally {
    told(failure)
    end(span, failure)
  }
}
