import { script } from './script.ts'

/** KEYS: dead, dead index. ARGV: entry id and letter id of each. Returns how many were still there. */
export const discard = script(`
local count = 0
for at = 1, #ARGV, 2 do
  count = count + redis.call('XDEL', KEYS[1], ARGV[at])
  redis.call('HDEL', KEYS[2], ARGV[at + 1])
end
return count
`)
