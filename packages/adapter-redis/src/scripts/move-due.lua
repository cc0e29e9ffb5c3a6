#!lua flags=allow-oom
-- Moves what is due to where it is read. The first caller moves it; the others find nothing.
-- keys: topic, delayed, delayedEntries, delayedIds, heldKeys, streams, wake; with a group: groupDelayed,
-- groupDelayedEntries, own, groupWake.
-- args: maxItems, maxBytes (one larger entry goes alone).
-- Answers { wait: milliseconds until the next one is due or -1, moved }.
-- include arguments
-- include clock
-- include woken
-- include held
local moved, bytes, wait = 0, 0, -1

local function forget(member, entry)
  if entry.key then releaseKey(entry.key) end
  if entry.id then
    local others = {}
    for each in string.gmatch(redis.call('HGET', keys.delayedIds, entry.id) or '', '%S+') do
      if each ~= member then others[#others + 1] = each end
    end
    if #others == 0 then
      redis.call('HDEL', keys.delayedIds, entry.id)
    else
      redis.call('HSET', keys.delayedIds, entry.id, table.concat(others, ' '))
    end
  end
end

local function move(set, entries, streams, channel)
  for _, member in ipairs(redis.call('ZRANGE', set, '-inf', now, 'BYSCORE', 'LIMIT', 0, args.maxItems - moved)) do
    local size = redis.call('HSTRLEN', entries, member)
    if moved > 0 and bytes + size > args.maxBytes then break end
    local packed = redis.call('HGET', entries, member)
    if packed then
      local entry = cmsgpack.unpack(packed)
      redis.call('XADD', streams[entry.line + 1], '*', unpack(entry.fields))
      redis.call('HDEL', entries, member)
      forget(member, entry)
      woke(entry.line)
    end
    redis.call('ZREM', set, member)
    moved, bytes = moved + 1, bytes + size
  end
  wake(channel)
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, math.ceil(head[2] - now))
    if wait < 0 or left < wait then wait = left end
  end
end

move(keys.delayed, keys.delayedEntries, keys.streams, keys.wake)
if keys.groupDelayed then move(keys.groupDelayed, keys.groupDelayedEntries, keys.own, keys.groupWake) end
return { cjson.encode({ wait = wait, moved = moved }) }
