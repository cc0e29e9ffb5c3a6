import { map } from './fragments.ts'
import { script } from './script.ts'

/**
 * KEYS: topic, then for each line the topic's stream, then for each line its marks, then for each group and line its own
 * stream.
 * ARGV: mode, ordered, partitions, number of lines, then for each group its name and where it starts.
 */
export const applyTopology = script(`
${map}
local mode, ordered, partitions, lines = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local found = redis.call('HMGET', KEYS[1], 'ordered', 'partitions')
local isNew = not found[1]
local made = {}

local function has(stream, group)
  if redis.call('EXISTS', stream) == 0 then return false end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if map(each).name == group then return true end
  end
  return false
end

if isNew then
  made[1] = 'topic'
  if mode == 'create' then redis.call('HSET', KEYS[1], 'ordered', ordered, 'partitions', partitions) end
elseif found[1] ~= ordered or found[2] ~= partitions then
  return { 'mismatch', found[1], found[2] }
end
for line = 1, lines do
  local stream = KEYS[1 + line]
  if redis.call('EXISTS', stream) == 0 then
    if not isNew then made[#made + 1] = 'stream ' .. stream end
    if mode == 'create' then
      -- There is no other way to make an empty stream.
      redis.call('XGROUP', 'CREATE', stream, 'waybill', '$', 'MKSTREAM')
      redis.call('XGROUP', 'DESTROY', stream, 'waybill')
      -- Those of a stream that somebody deleted would tell wrong of this one.
      redis.call('DEL', KEYS[1 + lines + line])
    end
  end
end
local own = 1 + 2 * lines
for i = 5, #ARGV, 2 do
  local group, from = ARGV[i], ARGV[i + 1]
  local missing = false
  for line = 1, lines do
    if not has(KEYS[1 + line], group) then
      missing = true
      -- What is in the streams of a topic that is only now made was sent to this group too: after a flush, or by a
      -- producer that was faster.
      local start = (isNew or from == 'earliest') and '0' or '$'
      if mode == 'create' then
        redis.call('XGROUP', 'CREATE', KEYS[1 + line], group, start, 'MKSTREAM')
        redis.call('DEL', KEYS[1 + lines + line])
      end
    end
    if not has(KEYS[own + line], group) then
      missing = true
      if mode == 'create' then redis.call('XGROUP', 'CREATE', KEYS[own + line], group, '0', 'MKSTREAM') end
    end
  end
  own = own + lines
  if missing then made[#made + 1] = 'group ' .. group end
end
return { 'ok', unpack(made) }
`)
