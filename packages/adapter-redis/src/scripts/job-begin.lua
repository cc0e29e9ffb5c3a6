#!lua flags=allow-oom
-- Begins runs of jobs that are due, up to `limit` of them and a megabyte. keys: heads, texts, owners, leases, queued (by priority),
-- and of each name: waiting, delayed, due, active, changed. args: names, limit, now, leaseUntil, owner, revision.
-- Answers { isMixed: there are jobs of other names before some of these, and no run was begun; isCut: that was a megabyte, and there
-- may be more }, and as values of each job: its head, data, output and progress.
-- include arguments
local places = {}
for index, name in ipairs(args.names) do places[name] = index end
local answer = {}
local begun = {}
local bytes, count = 0, 0
local mostBytes = 1024 * 1024

for _, queued in ipairs(keys.queued) do
  local members = {}
  if count < args.limit and bytes < mostBytes then
    members = redis.call('ZRANGE', queued, '-inf', args.now, 'BYSCORE', 'LIMIT', 0, args.limit - count)
  end
  for _, member in ipairs(members) do
    local id = string.match(member, '^[^:]*:(.*)$')
    local value = redis.call('HGET', keys.heads, id)
    if value then
      local moving, rest = string.match(value, '^%S+ ([^\n]*)\n(.*)$')
      local head = cjson.decode(moving)
      local place = places[head.name]
      if place == nil then return { '{"isMixed":true}' } end
      if count > 0 and bytes >= mostBytes then break end
      local texts = redis.call('HMGET', keys.texts, 'd:' .. id, 'o:' .. id, 'p:' .. id)
      for _, text in ipairs(texts) do bytes = bytes + (text and #text or 0) end
      count = count + 1
      begun[count] = { id = id, queued = queued, member = member, head = head, rest = rest, texts = texts, place = place }
    else
      -- The server has thrown the job away, as it does by most of its maxmemory policies. The others do not wait for it.
      redis.call('ZREM', queued, member)
    end
  end
end

answer[1] = bytes >= mostBytes and count < args.limit and '{"isCut":true}' or '{}'
for _, each in ipairs(begun) do
  local head, place, id = each.head, each.place, each.id
  local created = string.format('%015.0f:%s', head.createdAt, id)
  redis.call('ZREM', each.queued, each.member)
  redis.call('ZREM', (head.isLate and keys.delayed or keys.waiting)[place], created)
  if head.isLate then redis.call('ZREM', keys.due[place], id) end
  redis.call('ZADD', keys.active[place], 0, created)
  redis.call('ZADD', keys.changed[place], args.now, id)
  redis.call('ZADD', keys.leases, args.leaseUntil, id)
  redis.call('HSET', keys.owners, id, args.owner)
  head.state, head.owner, head.isLate = 'active', args.owner, false
  head.attempt, head.version = head.attempt + 1, head.version + 1
  head.startedAt, head.updatedAt = args.now, args.now
  local value = args.revision .. ' ' .. cjson.encode(head) .. '\n' .. each.rest
  redis.call('HSET', keys.heads, id, value)
  answer[#answer + 1] = value
  for index = 1, 3 do answer[#answer + 1] = each.texts[index] or '' end
end
return answer
