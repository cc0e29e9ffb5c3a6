#!lua flags=allow-oom
-- Renews the leases of jobs that are still their owner's. keys: owners, leases. args: owner, leaseMs. Values: ids.
-- Answers { renewed: places of ids, from 0 }.
-- include arguments
-- include clock
local renewed = {}
local ids = { unpack(ARGV, 2) }
for index, owner in ipairs(redis.call('HMGET', keys.owners, unpack(ids))) do
  if owner == args.owner then
    redis.call('ZADD', keys.leases, math.floor(now) + args.leaseMs, ids[index])
    renewed[#renewed + 1] = index - 1
  end
end
return { cjson.encode({ renewed = renewed }) }
