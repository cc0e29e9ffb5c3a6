import type { NewJob } from '../book/new-job.ts'
import type { JobDefinition } from '../definition.ts'
import type { AddOptions } from '../jobs-options.ts'
import { newJob } from '../new-jobs.ts'

export interface FlowStepOptions extends Pick<AddOptions, 'delay' | 'priority' | 'attempts' | 'removeAfter'> {
  /** The jobs that must have completed before this one runs. Default: none. */
  readonly children?: readonly FlowStep[]
  /**
   * What becomes of the job that waits for this one, if this one fails or is cancelled. `fail-parent`: it fails too. `ignore`: it
   * runs without. `wait`: it goes on waiting, until somebody retries this one. Default: `fail-parent`.
   */
  readonly onFailure?: 'fail-parent' | 'ignore' | 'wait'
}

/** A job of a flow that is to be added. Made by `flowStep`. */
export interface FlowStep<Output = unknown, Progress = unknown> {
  readonly definition: JobDefinition
  readonly data: unknown
  readonly options: FlowStepOptions
  // For the compiler only; they never exist.
  readonly output?: Output
  readonly progress?: Progress
}

/**
 * A job of a flow, with the jobs that it waits for.
 *
 * ```ts
 * flowStep(Publish, { documentId }, { children: pages.map((page) => flowStep(Scan, { page }, { onFailure: 'ignore' })) })
 * ```
 */
export function flowStep<Input, Data, Returned, Output, Progress>(
  definition: JobDefinition<Input, Data, Returned, Output, Progress>,
  data: NoInfer<Input>,
  options?: FlowStepOptions,
): FlowStep<Output, Progress>
export function flowStep(definition: JobDefinition, data: unknown, options: FlowStepOptions = {}): FlowStep {
  return { definition, data, options }
}

/**
 * Steps that run one after the other: each waits for the one before. The last is the flow's.
 *
 * ```ts
 * await jobs.addFlow(inSequence([flowStep(Extract, { id }), flowStep(Analyse, { id }), flowStep(Notify, { id })]))
 * ```
 */
export function inSequence<Output, Progress>(
  steps: readonly [...FlowStep[], FlowStep<Output, Progress>],
): FlowStep<Output, Progress>
export function inSequence(steps: readonly FlowStep[]): FlowStep {
  const [first, ...rest] = steps
  if (first === undefined) throw new TypeError('inSequence needs at least one step')
  return rest.reduce(
    (before, step) => ({
      ...step,
      options: { ...step.options, children: [...(step.options.children ?? []), before] },
    }),
    first,
  )
}

/** The jobs of a flow, the last one to run first. The ids of the others are made of its own. */
export async function jobsOfFlow(step: FlowStep, id: string, parent?: string): Promise<readonly NewJob[]> {
  const { children = [], onFailure = 'fail-parent', ...options } = step.options
  const { job } = await newJob(step.definition, step.data, { ...options, id })
  const below = await Promise.all(children.map((child, index) => jobsOfFlow(child, `${id}/${index}`, id)))
  return [{ ...job, parent, onFailure, children: children.length }, ...below.flat()]
}

/** The definitions of a flow. */
export function definitionsOf({
  definition,
  options: { children = [] },
}: FlowStep): readonly JobDefinition[] {
  return [definition, ...children.flatMap(definitionsOf)]
}
