import { createHash } from 'node:crypto'
import { z } from 'zod'

const policySchema = z.looseObject({
  Version: z.string().default('2012-10-17'),
  Statement: z
    .union([z.array(z.unknown()), z.looseObject({})])
    .transform((statements) => (Array.isArray(statements) ? statements : [statements]))
    .default([]),
})

/**
 * A queue's policy with a statement that lets one topic deliver (Amazon SNS Developer Guide, "Fanout to Amazon SQS
 * queues"), whatever else it says; undefined where it says so already.
 */
export function admitting(
  policy: string | undefined,
  queueArn: string,
  topicArn: string,
): string | undefined {
  const statement = {
    // Of letters and digits, and no two statements of a policy may share one (IAM User Guide, "Sid").
    Sid: `Waybill${createHash('sha256').update(topicArn).digest('hex').slice(0, 16)}`,
    Effect: 'Allow',
    Principal: { Service: 'sns.amazonaws.com' },
    Action: 'sqs:SendMessage',
    Resource: queueArn,
    Condition: { ArnEquals: { 'aws:SourceArn': topicArn } },
  }
  const current = policySchema.parse(policy ? JSON.parse(policy) : {})
  if (current.Statement.some((each) => admits(each, queueArn, topicArn))) return undefined
  return JSON.stringify({ ...current, Statement: [...current.Statement, statement] })
}

const admissionSchema = z.looseObject({
  Effect: z.literal('Allow'),
  Resource: z.string(),
  Condition: z.record(z.string(), z.record(z.string(), z.unknown())),
})

/** Whether a statement, in whatever spelling the service gives it back, is about the topic and the queue. */
function admits(statement: unknown, queueArn: string, topicArn: string): boolean {
  const parsed = admissionSchema.safeParse(statement)
  if (!parsed.success || parsed.data.Resource !== queueArn) return false
  const values = Object.values(parsed.data.Condition).flatMap((condition) => Object.values(condition))
  return values.flat().includes(topicArn)
}
