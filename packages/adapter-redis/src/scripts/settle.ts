import { clock, hold } from './fragments.ts'
import { script } from './script.ts'

/**
 * Settlements that make a copy, and acks that come late. Each holds only if the delivery is still the one we were handed:
 * pending for this consumer with this delivery count. Copy and ack are one step; a copy that fails leaves the source.
 * KEYS: topic, delayed, dead, dead index, sources. ARGV: group, consumer, then for each: verdict, source, id, delivery
 * count, target line, delay or dead letter id, number of fields, fields.
 * Returns what failed: index of the settlement and why, in turn.
 */
export const settle = script(
  `
${clock}
${hold}
local group, consumer = ARGV[1], ARGV[2]
local failures = {}
local index = 0
local at = 3
while ARGV[at] do
  local verdict, source, id, count = ARGV[at], KEYS[5 + ARGV[at + 1]], ARGV[at + 2], tonumber(ARGV[at + 3])
  local line, detail, size = tonumber(ARGV[at + 4]), ARGV[at + 5], tonumber(ARGV[at + 6])
  local first = at + 7
  at = first + size
  local pending = redis.call('XPENDING', source, group, id, id, 1, consumer)[1]
  if pending and pending[4] == count then
    local reply
    if verdict == 'retry' and tonumber(detail) > 0 then
      local fields = { unpack(ARGV, first, first + size - 1) }
      reply = hold(KEYS[1], KEYS[2], now() + detail, line, fields)
    elseif verdict == 'retry' or verdict == 'release' then
      reply = redis.pcall('XADD', KEYS[5 + 2 * line], '*', unpack(ARGV, first, first + size - 1))
    elseif verdict == 'dead-letter' then
      reply = redis.pcall('XADD', KEYS[3], '*', unpack(ARGV, first, first + size - 1))
      if type(reply) ~= 'table' then redis.call('HSET', KEYS[4], detail, reply) end
    end
    if type(reply) == 'table' and reply.err then
      failures[#failures + 1] = index
      failures[#failures + 1] = reply.err
    else
      redis.call('XACK', source, group, id)
    end
  end
  index = index + 1
end
return failures
`,
  'allow-oom',
)
