import { clock } from './fragments.ts'
import { script } from './script.ts'

/**
 * Ordered topics: renews a member's lease and gives it its share of the partitions, as far as they are free.
 * KEYS: members, owners. ARGV: member, lease, number of partitions, then partition and owner of those to give up.
 * Returns the size of the share, then partition and owner of each that the member has. An owner is a number that is
 * higher than that of every earlier owner of any partition, and the member's name.
 */
export const claim = script(
  `
${clock}
local member, lease, partitions = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = now()
for at = 4, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then redis.call('HDEL', KEYS[2], ARGV[at]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time)
redis.call('ZADD', KEYS[1], time + lease, member)
local alive, total, rank = {}, 0, 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  alive[name] = true
  total = total + 1
  if name < member then rank = rank + 1 end
end
local share = math.floor(partitions / total) + (rank < partitions % total and 1 or 0)
local reply, free, count = { share }, {}, 0
for partition = 0, partitions - 1 do
  local owner = redis.call('HGET', KEYS[2], partition)
  local name = owner and string.match(owner, ' (.*)$')
  if name == member then
    count = count + 1
    reply[#reply + 1] = partition
    reply[#reply + 1] = owner
  elseif not name or not alive[name] then
    free[#free + 1] = partition
  end
end
for _, partition in ipairs(free) do
  if count >= share then break end
  local owner = redis.call('HINCRBY', KEYS[2], 'fence', 1) .. ' ' .. member
  redis.call('HSET', KEYS[2], partition, owner)
  count = count + 1
  reply[#reply + 1] = partition
  reply[#reply + 1] = owner
end
return reply
`,
  'allow-oom',
)
