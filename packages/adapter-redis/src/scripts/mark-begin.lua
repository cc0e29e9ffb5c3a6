-- Idempotency marks. keys: mark. args: token, leaseMs, done. Answers { state, remainingMs }.
-- include arguments
local mark = redis.call('GET', keys.mark)
if not mark then
  redis.call('SET', keys.mark, args.token, 'PX', args.leaseMs)
  return { cjson.encode({ state = 'started', remainingMs = 0 }) }
end
if mark == args.done then return { cjson.encode({ state = 'done', remainingMs = 0 }) } end
return { cjson.encode({ state = 'processing', remainingMs = redis.call('PTTL', keys.mark) }) }
