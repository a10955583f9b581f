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

-- The earlier of two times, of which the second may be false.
local function earlier(one, other)
  return other and tonumber(other) < tonumber(one) and other or one
end

-- Note that a list was made, after the version `last`. `again` is when a sweep has to publish the
-- newest list once more, false if it need not. Answers whether the list is to be published, its
-- version, and `again`.
local function noted(list, last, again, digest, cause, now, sweep, landed)
  local old, unpublished = unpack(redis.call('HMGET', list, 'digest', 'unpublished'))
  local changed = old ~= digest
  if changed then
    last = later(last, now)
    -- An older list may be on its way still, and come out behind this one.
    if unpublished then again = landed end
    redis.call('HSET', list, 'digest', digest, 'version', last)
    if again then redis.call('HSET', list, 'astray', again) end
  end
  -- Who was to publish the same list may have died before: its cause comes again, and a sweep
  -- leaves its mark until the log has the list.
  local owed = cause == sweep and again and tonumber(again) <= tonumber(now)
  local publish = changed or owed or unpublished == cause or unpublished == sweep
  if publish then redis.call('HSET', list, 'unpublished', cause) end
  return publish, last, again
end

-- The log has a version of a list; `last` is what it should end with. Answers when the list is
-- due now, false if that stays as it is. `revision` is '' for a list that was not held.
local function arrived(list, last, version, revision, due, now, sweep)
  local own, unpublished, again =
    unpack(redis.call('HMGET', list, 'revision', 'unpublished', 'astray'))
  if last ~= version then -- which came out before this one, or is about to: once more, behind it
    if own then
      redis.call('HSET', list, 'unpublished', sweep)
      touch(list, now) -- a sweep that has published it already did so before this one came out
    end
    return now
  end
  if revision == '' then
    if unpublished ~= sweep then redis.call('HDEL', list, 'unpublished') end
    return false
  end
  if own ~= revision then return false end
  if again and tonumber(again) > tonumber(now) then return earlier(due, again) end
  redis.call('HDEL', list, 'unpublished', 'astray')
  return due
end

-- The end of a forgotten user's list is to be published once more, or the list they get next is.
local function owe_end(gone, again)
  redis.call('HSET', gone, 'astray', again)
  redis.call('HINCRBY', gone, 'owed', 1)
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
