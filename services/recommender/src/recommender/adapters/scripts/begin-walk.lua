-- Where the walk over a tenant's users stands, and the campaigns it looks for; a new walk begins
-- if none is under way. Nil if nothing changed.
-- KEYS walk, changed
if redis.call('EXISTS', KEYS[1]) == 0 then
  local changed = redis.call('SMEMBERS', KEYS[2])
  if #changed == 0 then return false end
  redis.call('HSET', KEYS[1], 'cursor', '0', 'campaigns', table.concat(changed))
  redis.call('DEL', KEYS[2])
end
return redis.call('HMGET', KEYS[1], 'cursor', 'campaigns')
