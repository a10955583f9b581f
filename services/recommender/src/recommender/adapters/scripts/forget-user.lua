-- Remove what was taken in up to a time, and remember the time. Answers with the version to
-- publish, and 1 if something newer stays.
-- KEYS user, facts, ids, gone, due
-- ARGV user id, forgotten at, now, seconds to remember, when all that is on its way to the log has
--      arrived
local user, facts, ids, gone, due = unpack(KEYS)
local user_id, forgotten, now, remembered, landed = unpack(ARGV)
local known = redis.call('HMGET', gone, 'at', 'version', 'astray')
if known[1] and tonumber(known[1]) >= tonumber(forgotten) then return {known[2], 0} end

for _, field in ipairs(redis.call('HKEYS', facts)) do
  local stays = {}
  for entry, taken in string.gmatch(redis.call('HGET', facts, field), '(%d+ (%d+);)') do
    if tonumber(taken) > tonumber(forgotten) then stays[#stays + 1] = entry end
  end
  if #stays == 0 then
    redis.call('HDEL', facts, field)
  else
    redis.call('HSET', facts, field, table.concat(stays))
  end
end
redis.call('ZREMRANGEBYSCORE', ids, '-inf', forgotten)

local found = redis.call('HMGET', user, 'version', 'revision', 'heard-at', 'affinity-version',
  'affinity', 'unpublished', 'astray')
-- Readers drop all versions up to the time of forgetting, by the clock of who was asked for it.
local last = math.max(tonumber(found[1] or 0), tonumber(known[2] or 0), tonumber(forgotten))
local version = later(string.format('%.0f', last), now)
-- A list that is on its way still would come out behind the word that it is forgotten.
local again = found[6] and landed or found[7] or known[3]
local heard = found[3] and tonumber(found[3]) > tonumber(forgotten)
local stays = heard or redis.call('EXISTS', facts) == 1
local revision = later(found[2], now)
redis.call('DEL', user)
if stays then
  redis.call('HSET', user, 'version', version, 'revision', revision)
  if heard then
    redis.call('HSET', user,
      'heard-at', found[3], 'affinity-version', found[4], 'affinity', found[5])
  end
  if again then redis.call('HSET', user, 'astray', again) end
  redis.call('ZADD', due, now, user_id)
else
  redis.call('DEL', ids)
  redis.call('ZREM', due, user_id)
  if again then redis.call('ZADD', due, again, user_id) end
end
if again then owe_end(gone, again) end
redis.call('HSET', gone, 'at', forgotten, 'version', version, 'revision', revision)
redis.call('EXPIRE', gone, remembered)
return {version, stays and 1 or 0}
