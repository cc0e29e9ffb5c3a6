-- keys: mark. args: token, leaseMs. Answers { isOurs }: whether the token still owns the mark.
-- include arguments
local isOurs = redis.call('GET', keys.mark) == args.token
if isOurs then redis.call('PEXPIRE', keys.mark, args.leaseMs) end
return { cjson.encode({ isOurs = isOurs }) }
