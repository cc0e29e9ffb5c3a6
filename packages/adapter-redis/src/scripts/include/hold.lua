-- Keeps an entry until it is due: its sequence number in a sorted set, the entry itself in a hash, so that what is due can
-- be looked up without reading any body. Numbers keep the order of entries that are due at once.
local function hold(set, entries, channel, due, entry)
  local sequence = redis.pcall('HINCRBY', keys.topic, 'sequence', 1)
  if type(sequence) == 'table' then return sequence end
  local member = string.format('%016.0f', sequence)
  local kept = redis.pcall('HSET', entries, member, cmsgpack.pack(entry))
  if type(kept) == 'table' then return kept end
  local added = redis.pcall('ZADD', set, due, member)
  if type(added) == 'table' then
    redis.call('HDEL', entries, member)
    return added
  end
  -- Who sleeps until a later one must know.
  if redis.call('ZRANGE', set, 0, 0)[1] == member then
    redis.call('PUBLISH', channel, 'due ' .. string.format('%.0f', math.max(0, math.ceil(due - now))))
  end
  return member
end
