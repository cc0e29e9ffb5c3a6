import { clock } from './fragments.ts'
import { script } from './script.ts'

/**
 * Moves what is due to where it is read. Whoever runs it first wins, the others find nothing.
 * KEYS: a sorted set and then the stream of each line; once more for each further set. ARGV: limit, number of lines.
 * Returns the milliseconds until the next one is due, or -1.
 */
export const moveDue = script(
  `
${clock}
local limit, lines = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = now()
local wait = -1
for first = 1, #KEYS, lines + 1 do
  local set = KEYS[first]
  for _, member in ipairs(redis.call('ZRANGE', set, '-inf', time, 'BYSCORE', 'LIMIT', 0, limit)) do
    local held = cmsgpack.unpack(string.sub(member, 17))
    redis.call('XADD', KEYS[first + 1 + held[1]], '*', unpack(held[2]))
    redis.call('ZREM', set, member)
  end
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, math.ceil(head[2] - time))
    if wait < 0 or left < wait then wait = left end
  end
end
return wait
`,
  'allow-oom',
)
