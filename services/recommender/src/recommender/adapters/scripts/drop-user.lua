-- Nothing is due of a user of whom nothing is stored.
-- KEYS user, due  ARGV user id
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
return 0
