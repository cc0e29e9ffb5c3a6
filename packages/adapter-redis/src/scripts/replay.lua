#!lua flags=allow-oom
-- Puts dead letters back to the group. keys: dead, deadIndex, own, groupWake. args: letters: { entry, letter, line, size }.
-- Values: the fields of each. Answers { count } of those that were still there.
-- include arguments
-- include woken
local count, first = 0, 2
for _, letter in ipairs(args.letters) do
  if redis.call('XDEL', keys.dead, letter.entry) == 1 then
    redis.call('XADD', keys.own[letter.line + 1], '*', unpack(ARGV, first, first + letter.size - 1))
    redis.call('HDEL', keys.deadIndex, letter.letter)
    woke(letter.line)
    count = count + 1
  end
  first = first + letter.size
end
wake(keys.groupWake)
return { cjson.encode({ count = count }) }
