#!lua flags=no-writes
-- Answers what commands read, all of one moment. keys: all. args: commands: { command, key (its place in keys), count }.
-- Values: `count` parameters of each command after its key. Answers, as values, the reply of each.
-- include arguments
local replies = { '{}' }
local first = 2
for _, each in ipairs(args.commands) do
  replies[#replies + 1] = redis.call(each.command, keys.all[each.key], unpack(ARGV, first, first + each.count - 1))
  first = first + each.count
end
return replies
