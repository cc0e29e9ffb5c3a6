import { script } from './script.ts'

/**
 * Starts leases anew, which leaves the delivery counts as they are. KEYS: sources. ARGV: group, consumer, then source, id
 * and delivery count of each. Returns the indices of those that are no longer ours.
 */
export const extend = script(
  `
local group, consumer = ARGV[1], ARGV[2]
local lost = {}
for at = 3, #ARGV, 3 do
  local stream, id = KEYS[1 + ARGV[at]], ARGV[at + 1]
  local pending = redis.call('XPENDING', stream, group, id, id, 1, consumer)[1]
  if pending and pending[4] == tonumber(ARGV[at + 2]) then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
  else
    lost[#lost + 1] = (at - 3) / 3
  end
end
return lost
`,
  'allow-oom',
)
