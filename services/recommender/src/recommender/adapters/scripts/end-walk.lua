-- The walk has seen everybody; another begins if a campaign changed meanwhile.
-- KEYS walk, changed, chores
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[3], 'walk') end
return 0
