-- Whether an entry is still the delivery that was handed out: pending under that name, with that delivery count.
local function isOurs(stream, consumer, delivery)
  local row = redis.call('XPENDING', stream, args.group, delivery.id, delivery.id, 1, consumer)[1]
  return row and row[4] == delivery.count or false
end

-- Gives a delivery back to the group, in its place, and without counting it.
local function giveBack(stream, consumer, id, count)
  redis.call('XCLAIM', stream, args.group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
end
