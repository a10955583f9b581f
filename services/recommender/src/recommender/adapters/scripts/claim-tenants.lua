-- Tenants with something due, each given to one caller until its lease ends.
-- KEYS agenda  ARGV now, end of the lease, how many
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, tenant in ipairs(found) do redis.call('ZADD', KEYS[1], ARGV[2], tenant) end
return found
