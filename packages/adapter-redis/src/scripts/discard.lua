#!lua flags=allow-oom
-- Removes dead letters for good. keys: dead, deadIndex. args: letters: { entry, letter }. Answers { count } of those that
-- were still there.
-- include arguments
local count = 0
for _, letter in ipairs(args.letters) do
  count = count + redis.call('XDEL', keys.dead, letter.entry)
  redis.call('HDEL', keys.deadIndex, letter.letter)
end
return { cjson.encode({ count = count }) }
