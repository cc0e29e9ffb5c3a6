import { script } from './script.ts'

/**
 * Ordered topics: a member goes. What it holds stays pending for the next owner, its delivery count one lower, since
 * nobody died. KEYS: members, owners, sources. ARGV: group, reader, member, number of partitions, partition and owner of
 * each, then source, id and delivery count of what it holds.
 */
export const handOver = script(
  `
local group, reader, member, partitions = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local held = 5 + 2 * partitions
for at = held, #ARGV, 3 do
  local stream, id, count = KEYS[3 + ARGV[at]], ARGV[at + 1], tonumber(ARGV[at + 2])
  local pending = redis.pcall('XPENDING', stream, group, id, id, 1, reader)[1]
  if type(pending) == 'table' and pending[4] == count then
    redis.call('XCLAIM', stream, group, reader, 0, id, 'RETRYCOUNT', count - 1, 'JUSTID')
  end
end
for at = 5, held - 1, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then redis.call('HDEL', KEYS[2], ARGV[at]) end
end
redis.call('ZREM', KEYS[1], member)
return 1
`,
  'allow-oom',
)
