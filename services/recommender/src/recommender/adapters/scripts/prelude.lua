-- Stands before every other script. Times and versions are microseconds as decimal text: Lua would
-- write a number of that size as 1.7e+15.

-- A version or revision after `previous` (text, or false), which no loss of the store lets fall.
local function later(previous, now)
  return string.format('%.0f', math.max((tonumber(previous or 0) or 0) + 1, tonumber(now)))
end

-- Give the entity another revision: lists made from what it was before are refused, also those
-- from before it was forgotten.
local function touch(entity, now, gone)
  local last = redis.call('HGET', entity, 'revision')
  if gone and not last then last = redis.call('HGET', gone, 'revision') end
  local revision = later(last, now)
  redis.call('HSET', entity, 'revision', revision)
  return revision
end

-- The highest revision of a tenant's campaigns and vectors, '0' if there are none.
local function newest(revisions)
  return redis.call('ZREVRANGE', revisions, 0, 0, 'WITHSCORES')[2] or '0'
end

-- A user as the ranking wants them, nil if nothing is stored. An affinity that the caller has is
-- not sent again.
local function state(user, facts, version)
  local found = redis.call('HMGET', user, 'revision', 'affinity-version', 'affinity')
  if not found[1] then return false end
  local affinity = found[3]
  if version and found[2] == version then affinity = '' end
  return {found[1], affinity, redis.call('HGETALL', facts)}
end

-- Whether something that was taken in at `at` belongs to what the user had removed.
local function is_gone(gone, at)
  local forgotten = redis.call('HGET', gone, 'at')
  return forgotten and tonumber(at) <= tonumber(forgotten)
end
