-- keys: mark. args: token.
-- include arguments
if redis.call('GET', keys.mark) == args.token then redis.call('DEL', keys.mark) end
return { cjson.encode({}) }
