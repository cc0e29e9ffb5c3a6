-- Ordered topics: gives a member its share of the partitions, as far as they are free. A partition is free when its owner
-- has given it up, or when the owner's lease is over. An owner is a number that is higher than that of every earlier owner
-- of any partition, and the member's name. What was given up for others goes to the first of them that asks, beyond its share
-- too; its former owner leaves it alone for a while.
local forOthersMs = 5000
local function share(member, partitions, givenUp)
  for _, each in ipairs(givenUp) do
    if redis.call('HGET', keys.owners, each.partition) == each.owner then
      redis.call('HDEL', keys.owners, each.partition)
      if each.forOthers then
        redis.call('HSET', keys.owners, 'others ' .. each.partition, string.format('%.0f %s', now + forOthersMs, member))
      end
    end
  end
  local alive, total, rank = {}, 0, 0
  for _, name in ipairs(redis.call('ZRANGE', keys.members, '(' .. string.format('%.3f', now - args.graceMs), '+inf', 'BYSCORE')) do
    alive[name] = true
    total = total + 1
    if name < member then rank = rank + 1 end
  end
  local size = math.floor(partitions / total) + (rank < partitions % total and 1 or 0)
  local names = {}
  for partition = 0, partitions - 1 do names[partition + 1] = partition end
  local owners = redis.call('HMGET', keys.owners, unpack(names))
  local owned, free = {}, {}
  local function take(partition, isForOthers)
    local owner = redis.call('HINCRBY', keys.owners, 'fence', 1) .. ' ' .. member
    redis.call('HSET', keys.owners, partition, owner)
    owned[#owned + 1] = { partition = partition, owner = owner, forOthers = isForOthers }
  end
  local function offer(partition)
    local mark = redis.call('HGET', keys.owners, 'others ' .. partition)
    local ends, former = string.match(mark or '', '^(%d+) (.*)$')
    local isForOthers = ends and tonumber(ends) > now and total > 1
    if isForOthers and former == member then return end
    if mark then redis.call('HDEL', keys.owners, 'others ' .. partition) end
    if isForOthers then
      take(partition, true)
    else
      free[#free + 1] = partition
    end
  end
  for partition = 0, partitions - 1 do
    local owner = owners[partition + 1]
    local name = owner and string.match(owner, ' (.*)$')
    if name == member then
      owned[#owned + 1] = { partition = partition, owner = owner }
    elseif not name or not alive[name] then
      offer(partition)
    end
  end
  for _, partition in ipairs(free) do
    if #owned >= size then break end
    take(partition, false)
  end
  return size, owned, total
end
