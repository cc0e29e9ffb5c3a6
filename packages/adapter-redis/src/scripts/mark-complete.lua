-- keys: mark. args: token, windowMs, done.
-- include arguments
if redis.call('GET', keys.mark) == args.token then redis.call('SET', keys.mark, args.done, 'PX', args.windowMs) end
return { cjson.encode({}) }
