-- The caller is done with a tenant, which is due at another time. Who wrote an earlier time since
-- the claim is not overruled.
-- KEYS agenda  ARGV tenant, end of the caller's lease, due
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) == tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
else
  redis.call('ZADD', KEYS[1], 'LT', ARGV[3], ARGV[1])
end
return 0
