#!lua flags=allow-oom
-- Takes back delayed sends of one id. keys: delayed, delayedEntries, delayedIds, heldKeys. args: id.
-- Answers { cancelled }.
-- include arguments
-- include held
local cancelled = 0
for member in string.gmatch(redis.call('HGET', keys.delayedIds, args.id) or '', '%S+') do
  local packed = redis.call('HGET', keys.delayedEntries, member)
  if packed then
    local key = cmsgpack.unpack(packed).key
    if key then releaseKey(key) end
    redis.call('HDEL', keys.delayedEntries, member)
    redis.call('ZREM', keys.delayed, member)
    cancelled = cancelled + 1
  end
end
redis.call('HDEL', keys.delayedIds, args.id)
return { cjson.encode({ cancelled = cancelled }) }
