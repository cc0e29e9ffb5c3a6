-- Puts letters behind those that are there. A letter whose id is there already stays as it is.
-- keys: groups, dead, deadIndex. args: group, letters: { letter (its id), size }. Values: the fields of each.
-- Answers { failures: { index, error } }, index from 0.
-- include arguments
local failures = {}
local exists = redis.call('SISMEMBER', keys.groups, args.group) == 1
local first = 2
for index, letter in ipairs(args.letters) do
  if not exists then
    failures[#failures + 1] = { index = index - 1, error = 'NOGROUP the group does not exist' }
  elseif redis.call('HEXISTS', keys.deadIndex, letter.letter) == 0 then
    local reply = redis.pcall('XADD', keys.dead, '*', unpack(ARGV, first, first + letter.size - 1))
    if type(reply) == 'table' then
      failures[#failures + 1] = { index = index - 1, error = reply.err }
    else
      redis.call('HSET', keys.deadIndex, letter.letter, reply)
    end
  end
  first = first + letter.size
end
return { cjson.encode({ failures = failures }) }
