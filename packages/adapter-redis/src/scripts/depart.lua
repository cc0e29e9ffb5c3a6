#!lua flags=allow-oom
-- A member goes, of its own will or because it died: what it holds comes back to the group in its place, some at a time.
-- Until all is back it stays a member without lease, so that another can go on with it.
-- keys: sources (of an unordered topic), members, seen, connections, owners, groupWake.
-- args: group, member, returned, max; seen, if it died: nothing is done if it was heard of since; counts: whether its
-- deliveries count, since somebody died with them. Answers { more, isGone }.
-- include arguments
-- include clock
-- include pending
-- include woken
if args.seen and redis.call('ZSCORE', keys.seen, args.member) ~= args.seen then
  return { cjson.encode({ more = false, isGone = false }) }
end
local left = args.max
redis.call('ZADD', keys.members, 0, args.member)
for index, stream in ipairs(keys.sources) do
  local rows = redis.pcall('XPENDING', stream, args.group, '-', '+', left, args.member)
  if not rows.err then
    for _, row in ipairs(rows) do giveBack(stream, args.returned, row[1], args.counts and row[4] or row[4] - 1) end
    if #rows > 0 then woke(math.floor((index - 1) / 2)) end
    left = left - #rows
    if left <= 0 then break end
    redis.call('XGROUP', 'DELCONSUMER', stream, args.group, args.member)
  end
end
if left > 0 then
  redis.call('ZREM', keys.members, args.member)
  redis.call('ZREM', keys.seen, args.member)
  redis.call('HDEL', keys.connections, args.member)
end
wake(keys.groupWake)
redis.call('PUBLISH', keys.groupWake, 'members')
return { cjson.encode({ more = left <= 0, isGone = left > 0 }) }
