import { parseBrokerUrl } from '@waybill/core/driver'

/**
 * The name of a broker by its URL, without credentials and options: `kafka:one:9092,two:9092`. Bridges tell by it whether a
 * message has been at a broker before.
 *
 * @example
 * placeOf('kafka', 'kafka+ssl://app:secret@two:9092,one:9092') // 'kafka:one:9092,two:9092'
 */
export function placeOf(driver: string, url: string): string {
  const { hosts, path } = parseBrokerUrl(url)
  const where = hosts
    .map(({ host, port }) => (port === undefined ? host : `${host}:${port}`).toLowerCase())
    .sort()
    .join(',')
  return [driver, ...(where === '' ? [] : [where]), ...(path === undefined ? [] : [path])].join(':')
}
