import { script } from './script.ts'

/**
 * Puts dead letters back to the group. KEYS: dead, dead index, own streams. ARGV: for each letter entry id, letter id,
 * line, number of fields, fields. Returns how many were still there.
 */
export const replay = script(
  `
local count, at = 0, 1
while ARGV[at] do
  local entry, letter, line, size = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local first = at + 4
  at = first + size
  if #redis.call('XRANGE', KEYS[1], entry, entry) > 0 then
    redis.call('XADD', KEYS[3 + line], '*', unpack(ARGV, first, first + size - 1))
    redis.call('XDEL', KEYS[1], entry)
    redis.call('HDEL', KEYS[2], letter)
    count = count + 1
  end
end
return count
`,
  'allow-oom',
)
