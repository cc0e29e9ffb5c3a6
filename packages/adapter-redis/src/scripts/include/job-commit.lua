-- Writes to a job store, all or nothing, if what was read of it is still so.
-- keys: all. args: checks: { key, count } of hashes whose values begin with a revision; leases: { key, count } of a sorted set;
-- commands: { command, key, count }; channel, if there is something to tell. Keys are places in `all`.
-- Values: `count` pairs for each check (a field, and its revision, empty if there was none), `count` pairs for the leases (a
-- member, and its score), `count` parameters of each command after its key.
-- Answers { stale: places of pairs, from 0 }; with any, nothing was written.
local batch = 1000
local stale = {}
local first, place = 2, 0

local function check(key, count, command, isSame)
  for from = 0, count - 1, batch do
    local size = math.min(batch, count - from)
    local names = {}
    for index = 1, size do names[index] = ARGV[first + 2 * (index - 1)] end
    local found = redis.call(command, key, unpack(names))
    for index = 1, size do
      if not isSame(found[index], ARGV[first + 2 * index - 1]) then stale[#stale + 1] = place end
      place = place + 1
    end
    first = first + 2 * size
  end
end

for _, each in ipairs(args.checks) do
  check(keys.all[each.key], each.count, 'HMGET', function(value, revision)
    return (value and string.match(value, '^%S+') or '') == revision
  end)
end
if args.leases then
  check(keys.all[args.leases.key], args.leases.count, 'ZMSCORE', function(score, expected)
    return score and tonumber(score) == tonumber(expected)
  end)
end
if #stale > 0 then return { cjson.encode({ stale = stale }) } end

for _, each in ipairs(args.commands) do
  for from = 0, each.count - 1, batch do
    local size = math.min(batch, each.count - from)
    redis.call(each.command, keys.all[each.key], unpack(ARGV, first + from, first + from + size - 1))
  end
  first = first + each.count
end
if args.channel then redis.call('PUBLISH', args.channel, '1') end
return { '{}' }
