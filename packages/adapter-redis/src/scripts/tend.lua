#!lua flags=allow-oom
-- What a consumer does now and then, all in one round trip: it renews its lease as a member of its group, takes its share of
-- the partitions, and learns of members that are silent, of what is due next, and whether it is its turn to keep house.
-- keys: delayed (list of sorted sets), tidied; with a group: sources (that it reads), members, seen, connections, watched, groupWake; on ordered
-- topics owners.
-- args: tidyMs; with a group: group, returned, member, joining, leaseMs, connection, silentMs, graceMs; on ordered topics partitions and givenUp.
-- Answers { wait: milliseconds until something is due or -1, tidy; isMember; isReady: whether there is something to read; silent: { member, seen, connection,
-- expired }; share, owned: { partition, owner, forOthers: whether it was just taken over as one given up for others }, total: members }.
-- include arguments
-- include clock
-- include map
-- include share
local answer = { wait = -1, tidy = false, isMember = true, isReady = false, silent = {}, share = 0, owned = {}, total = 0 }
for _, set in ipairs(keys.delayed) do
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, math.ceil(head[2] - now))
    if answer.wait < 0 or left < answer.wait then answer.wait = left end
  end
end
if redis.call('SET', keys.tidied, '1', 'NX', 'PX', args.tidyMs) then answer.tidy = true end

-- Those whose lease is over, and those not heard of for a while; the latter may be gone before their lease ends.
local function silentMembers()
  local found, isFound = {}, {}
  local function look(name)
    if isFound[name] or name == args.member then return end
    isFound[name] = true
    local leaseEnd = redis.call('ZSCORE', keys.members, name)
    found[#found + 1] = {
      member = name,
      seen = redis.call('ZSCORE', keys.seen, name),
      connection = redis.call('HGET', keys.connections, name),
      expired = not leaseEnd or tonumber(leaseEnd) < now - args.graceMs,
    }
  end
  local expired = redis.call('ZRANGE', keys.members, '-inf', now - args.graceMs, 'BYSCORE', 'LIMIT', 0, 10)
  local silent = redis.call('ZRANGE', keys.seen, '-inf', now - args.silentMs, 'BYSCORE', 'LIMIT', 0, 10)
  if #expired + #silent == 0 then return found end
  -- Whoever sees them first looks after them.
  if not redis.call('SET', keys.watched, '1', 'NX', 'PX', 500) then return found end
  for _, name in ipairs(expired) do look(name) end
  for _, name in ipairs(silent) do look(name) end
  return found
end

local function isReady()
  for _, stream in ipairs(keys.sources) do
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    if groups.err then return true end
    for _, each in ipairs(groups) do
      local group = map(each)
      -- The lag is nil when entries were deleted from the middle, or the group was moved there.
      if group.name == args.group and group.lag ~= 0 then return true end
      if group.name == args.group and group.pending > 0 and args.returned then
        if redis.call('XPENDING', stream, args.group, '-', '+', 1, args.returned)[1] then return true end
      end
    end
  end
  return false
end

if args.member then
  local leaseEnd = redis.call('ZSCORE', keys.members, args.member)
  answer.isMember = args.joining or leaseEnd and tonumber(leaseEnd) > 0 or false
  if answer.isMember then
    redis.call('ZADD', keys.members, now + args.leaseMs, args.member)
    redis.call('ZADD', keys.seen, now, args.member)
    redis.call('HSET', keys.connections, args.member, args.connection)
    answer.silent = silentMembers()
    answer.isReady = isReady()
    if args.partitions then
      answer.share, answer.owned, answer.total = share(args.member, args.partitions, args.givenUp)
      if args.joining or #args.givenUp > 0 then redis.call('PUBLISH', keys.groupWake, 'members') end
    end
  end
end
return { cjson.encode(answer) }
