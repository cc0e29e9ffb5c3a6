#!lua flags=allow-oom
-- Takes one of a rate limit. keys: times. args: max, perMs. Answers { waitMs }: 0 when it was taken.
-- include arguments
-- include clock
local oldest = redis.call('LINDEX', keys.times, args.max - 1)
if oldest and now - oldest < args.perMs then
  return { cjson.encode({ waitMs = math.max(1, math.ceil(args.perMs - (now - oldest))) }) }
end
redis.call('LPUSH', keys.times, string.format('%.3f', now))
redis.call('LTRIM', keys.times, 0, args.max - 1)
redis.call('PEXPIRE', keys.times, math.ceil(args.perMs))
return { cjson.encode({ waitMs = 0 }) }
