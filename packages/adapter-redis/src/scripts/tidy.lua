#!lua flags=allow-oom
-- Housekeeping, a bounded piece at a time: trims what every group has settled, dead letters and remembered ids beyond their
-- bounds, and lists holders that are no members.
-- keys: streams, sent; with a group: own, dead, deadIndex, members, seen.
-- args: maxLength, maxAge or -1, window, limit (entries), maxBytes; with a group: group, keepers (names of no member),
-- deadLength or -1, deadAge or -1. Answers { more, discarded }.
-- include arguments
-- include clock
-- include map
local more, discarded = false, 0

local function parts(id)
  local time, number = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(time), tonumber(number)
end

local function isEarlier(a, b)
  local timeA, numberA = parts(a)
  local timeB, numberB = parts(b)
  return timeA < timeB or timeA == timeB and numberA < numberB
end

local function after(id)
  local time, number = parts(id)
  return string.format('%.0f-%.0f', time, number + 1)
end

-- The first entry that some group has not settled.
local function firstUnsettled(stream)
  local safe
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = map(each)
    local first = after(group['last-delivered-id'])
    if group.pending > 0 then
      local row = redis.call('XPENDING', stream, group.name, '-', '+', 1)[1]
      if row and isEarlier(row[1], first) then first = row[1] end
    end
    if not safe or isEarlier(first, safe) then safe = first end
  end
  return safe
end

local function trim(stream, limit, safe)
  local count = redis.call('XTRIM', stream, 'MINID', '~', safe, 'LIMIT', limit)
  if count > 0 and redis.call('XLEN', stream) > 0 then more = true end
  return count
end

for _, stream in ipairs(keys.streams) do
  local length = redis.call('XLEN', stream)
  local safe = length > 0 and firstUnsettled(stream)
  -- Whole nodes only, oldest first, and never so many that fewer than maxLength would stay.
  if safe and length > args.maxLength then trim(stream, math.min(args.limit, length - args.maxLength), safe) end
  if safe and args.maxAge >= 0 then
    local oldest = string.format('%.0f-0', math.max(0, math.floor(now - args.maxAge)))
    trim(stream, args.limit, isEarlier(safe, oldest) and safe or oldest)
  end
end

-- In a group's own streams nothing settled is kept. Once no whole node goes, what goes is less than one node.
for _, stream in ipairs(keys.own or {}) do
  local safe = redis.call('XLEN', stream) > 0 and firstUnsettled(stream)
  if safe and trim(stream, args.limit, safe) == 0 then redis.call('XTRIM', stream, 'MINID', '=', safe) end
end

if args.window > 0 then
  local expired = redis.call('ZRANGE', keys.sent, '-inf', now - args.window, 'BYSCORE', 'LIMIT', 0, args.limit)
  if #expired > 0 then redis.call('ZREM', keys.sent, unpack(expired)) end
  if #expired == args.limit then more = true end
end

local function discardDead()
  local bytes = 0
  while discarded < args.limit and bytes < args.maxBytes do
    local isLong = args.deadLength >= 0 and redis.call('XLEN', keys.dead) > args.deadLength
    if not isLong and args.deadAge < 0 then return end
    local head = redis.call('XRANGE', keys.dead, '-', '+', 'COUNT', 1)[1]
    if not head then return end
    if not isLong and parts(head[1]) > now - args.deadAge then return end
    local headers = map(head[2]).headers
    local letter = headers and string.match(headers, '"waybill%-dead%-letter%-id":"([^"]*)"')
    redis.call('XDEL', keys.dead, head[1])
    if letter then redis.call('HDEL', keys.deadIndex, letter) end
    for _, field in ipairs(head[2]) do bytes = bytes + #field end
    discarded = discarded + 1
  end
  more = true
end
if keys.dead then discardDead() end

-- Whoever holds something and is no member, after a flush of this database's other keys, is taken for one that died.
if args.keepers then
  local keepers = {}
  for _, name in ipairs(args.keepers) do keepers[name] = true end
  for _, sources in ipairs({ keys.streams, keys.own }) do
    for _, stream in ipairs(sources) do
      local summary = redis.pcall('XPENDING', stream, args.group)
      for _, each in ipairs(not summary.err and summary[4] or {}) do
        if not keepers[each[1]] and not redis.call('ZSCORE', keys.members, each[1]) then
          redis.call('ZADD', keys.members, 0, each[1])
          redis.call('ZADD', keys.seen, 0, each[1])
        end
      end
    end
  end
end
return { cjson.encode({ more = more, discarded = discarded }) }
