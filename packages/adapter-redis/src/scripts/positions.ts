import { map } from './fragments.ts'
import { script } from './script.ts'

/** The id up to which each stream was delivered to the group. KEYS: streams. ARGV: group. */
export const positions = script(`
${map}
local ids = {}
for i, stream in ipairs(KEYS) do
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = map(each)
    if group.name == ARGV[1] then ids[i] = group['last-delivered-id'] end
  end
  if not ids[i] then return redis.error_reply('NOGROUP no group ' .. ARGV[1] .. ' on ' .. stream) end
end
return ids
`)
