#!lua flags=allow-oom
-- Settlements that need more than an XACK. Each holds only if the delivery is still the one that was handed out; on
-- ordered topics, only if its partition is still ours. Copy and ack are one step; a copy that fails leaves the source.
-- keys: topic, groupDelayed, groupDelayedEntries, dead, deadIndex, sources, own, owners, groupWake.
-- args: group, consumer, returned, settlements: { verdict, source, id, count, size; line and delay of a retry; letter (the
-- id) of a dead letter; partition and owner on ordered topics }. Sources and lines count from 0.
-- Values: the fields of each copy. Answers { failures: { index, error } }, index from 0.
-- include arguments
-- include clock
-- include hold
-- include pending
-- include woken
local failures = {}

local function carryOut(settlement, stream, first)
  local last = first + settlement.size - 1
  if settlement.verdict == 'retry' and settlement.delay > 0 then
    local entry = { line = settlement.line, fields = { unpack(ARGV, first, last) } }
    return hold(keys.groupDelayed, keys.groupDelayedEntries, keys.groupWake, now + settlement.delay, entry)
  elseif settlement.verdict == 'retry' then
    woke(settlement.line)
    return redis.pcall('XADD', keys.own[settlement.line + 1], '*', unpack(ARGV, first, last))
  elseif settlement.verdict == 'dead-letter' then
    local reply = redis.pcall('XADD', keys.dead, '*', unpack(ARGV, first, last))
    if type(reply) ~= 'table' then redis.call('HSET', keys.deadIndex, settlement.letter, reply) end
    return reply
  end
end

local first = 2
for index, settlement in ipairs(args.settlements) do
  local stream = keys.sources[settlement.source + 1]
  local isOwner = not settlement.owner or redis.call('HGET', keys.owners, settlement.partition) == settlement.owner
  if not isOwner or not isOurs(stream, args.consumer, settlement) then
    failures[#failures + 1] = { index = index - 1, error = 'STALE the delivery is no longer ours' }
  elseif settlement.verdict == 'release' or settlement.verdict == 'expire' then
    -- A lease that ran out under a handler counts, as a death does.
    giveBack(stream, args.returned, settlement.id, settlement.verdict == 'release' and settlement.count - 1 or settlement.count)
    woke(settlement.line)
  else
    local reply = carryOut(settlement, stream, first)
    if type(reply) == 'table' and reply.err then
      failures[#failures + 1] = { index = index - 1, error = reply.err }
    else
      redis.call('XACK', stream, args.group, settlement.id)
    end
  end
  first = first + settlement.size
end
wake(keys.groupWake)
return { cjson.encode({ failures = failures }) }
