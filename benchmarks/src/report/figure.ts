/** A figure as people read it: three significant places, thousands apart. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)))
  const rounded = value >= 1000 ? Number(value.toPrecision(3)) : value
  return rounded.toLocaleString('en-US', {
    minimumFractionDigits: value >= 1000 ? 0 : Math.min(2, digits),
    maximumFractionDigits: value >= 1000 ? 0 : Math.min(2, digits),
  })
}

const titles: Readonly<Record<string, string>> = {
  waybill: 'Waybill',
  'plain-idempotent': 'plain idempotent',
  rabbitmq: 'RabbitMQ',
  kafka: 'Kafka',
  redis: 'Redis',
  sqs: 'SQS (emulator)',
}

export function titleOf(name: string): string {
  return titles[name] ?? name
}
