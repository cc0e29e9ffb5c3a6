#!lua flags=allow-oom
-- Creates or verifies a topic with its groups in one step, so that several processes may do so at once.
-- keys: topic, streams, groups, wishes (a list, one a group), own (a list, each group's streams in turn).
-- args: create, ordered, partitions, groups: { name, from, wishes, isKnown }.
-- Answers { made: what was or would be made, renewed: groups that were gone; or mismatch: { ordered, partitions } }.
-- include arguments
-- include map
local made, renewed = {}, {}
local found = redis.call('HMGET', keys.topic, 'ordered', 'partitions')
local isNew = not found[1]

local function hasGroup(stream, name)
  if redis.call('EXISTS', stream) == 0 then return false end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if map(each).name == name then return true end
  end
  return false
end

if not isNew and (found[1] ~= args.ordered or found[2] ~= args.partitions) then
  return { cjson.encode({ mismatch = { ordered = found[1], partitions = found[2] } }) }
end
if isNew then
  made[1] = 'topic'
  if args.create then redis.call('HSET', keys.topic, 'ordered', args.ordered, 'partitions', args.partitions) end
end
for _, stream in ipairs(keys.streams) do
  if redis.call('EXISTS', stream) == 0 then
    if not isNew then made[#made + 1] = 'stream ' .. stream end
    if args.create then
      -- There is no other way to make an empty stream.
      redis.call('XGROUP', 'CREATE', stream, 'waybill', '$', 'MKSTREAM')
      redis.call('XGROUP', 'DESTROY', stream, 'waybill')
    end
  end
end
for index, group in ipairs(args.groups) do
  -- A group that was there before starts at the beginning of what there is: what was sent meanwhile is its own. So does
  -- one of a topic that is only now made, after a flush, or by a producer that was faster.
  local wasThere = group.isKnown or redis.call('SISMEMBER', keys.groups, group.name) == 1
  local start = (isNew or wasThere or group.from == 'earliest') and '0' or '$'
  local isMissing = false
  for line, stream in ipairs(keys.streams) do
    local own = keys.own[(index - 1) * #keys.streams + line]
    if not hasGroup(stream, group.name) then
      isMissing = true
      if args.create then redis.call('XGROUP', 'CREATE', stream, group.name, start, 'MKSTREAM') end
    end
    if not hasGroup(own, group.name) then
      isMissing = true
      if args.create then redis.call('XGROUP', 'CREATE', own, group.name, '0', 'MKSTREAM') end
    end
  end
  if isMissing then made[#made + 1] = 'group ' .. group.name end
  if isMissing and wasThere then renewed[#renewed + 1] = group.name end
  if args.create then
    redis.call('SADD', keys.groups, group.name)
    if #group.wishes > 0 then redis.call('SADD', keys.wishes[index], unpack(group.wishes)) end
  end
end
return { cjson.encode({ made = made, renewed = renewed }) }
