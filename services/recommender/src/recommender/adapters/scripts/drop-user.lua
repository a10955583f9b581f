-- Nothing is due of a user of whom nothing is stored, unless their end is owed once more since.
-- KEYS user, due, gone  ARGV user id, how often it had been owed
local user, due, gone = unpack(KEYS)
if redis.call('EXISTS', user) == 1 then return 0 end
if (redis.call('HGET', gone, 'owed') or '0') ~= ARGV[2] then return 0 end
redis.call('ZREM', due, ARGV[1])
redis.call('HDEL', gone, 'astray')
return 0
