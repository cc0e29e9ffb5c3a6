import { script } from './script.ts'

/**
 * A consumer goes: what it holds comes back to the group at once, as new entries in the group's own streams, and its name
 * goes once nothing is pending under it. KEYS: sources. ARGV: group, consumer, 1 if its deliveries count, since it died,
 * or 0 if it gives them back.
 */
export const leave = script(
  `
local group, consumer, died = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i, stream in ipairs(KEYS) do
  local own = KEYS[i - (i - 1) % 2]
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000, consumer)
  while not pending.err and #pending > 0 do
    for _, row in ipairs(pending) do
      local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
      if entry then
        local fields, earlier = {}, 0
        for at = 1, #entry[2], 2 do
          if entry[2][at] == 'deliveries' then
            earlier = tonumber(entry[2][at + 1]) or 0
          else
            fields[#fields + 1] = entry[2][at]
            fields[#fields + 1] = entry[2][at + 1]
          end
        end
        redis.call('XADD', own, '*', 'deliveries', earlier + row[4] - 1 + died, unpack(fields))
      end
      redis.call('XACK', stream, group, row[1])
    end
    pending = redis.call('XPENDING', stream, group, '-', '+', 1000, consumer)
  end
  if not pending.err then redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer) end
end
return 1
`,
  'allow-oom',
)
