-- One delayed message less that holds the key; see publish.lua.
local function releaseKey(key)
  local held = redis.call('HGET', keys.heldKeys, key)
  local count, due = string.match(held or '', '^(%d+) (.*)$')
  if count and tonumber(count) > 1 then
    redis.call('HSET', keys.heldKeys, key, string.format('%d %s', tonumber(count) - 1, due))
  else
    redis.call('HDEL', keys.heldKeys, key)
  end
end
