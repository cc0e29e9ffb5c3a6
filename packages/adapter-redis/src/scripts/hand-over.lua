#!lua flags=allow-oom
-- Ordered topics: a member goes. What it holds stays pending for the next owner, its delivery count one lower, since nobody
-- died with it. keys: sources, owners. args: group, reader, held: { source, id, count }, givenUp: { partition, owner }.
-- include arguments
-- include pending
for _, delivery in ipairs(args.held) do
  local stream = keys.sources[delivery.source + 1]
  local owner = redis.call('HGET', keys.owners, delivery.partition)
  if owner == delivery.owner and isOurs(stream, args.reader, delivery) then
    giveBack(stream, args.reader, delivery.id, delivery.count - 1)
  end
end
for _, each in ipairs(args.givenUp) do
  if redis.call('HGET', keys.owners, each.partition) == each.owner then redis.call('HDEL', keys.owners, each.partition) end
end
return { cjson.encode({}) }
