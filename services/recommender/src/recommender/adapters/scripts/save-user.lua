-- Keep that a list was made, unless what it was made from has changed.
-- KEYS user, due, revisions, gone
-- ARGV user id, revision, catalog revision, digest, cause, now, considered campaigns, due, held,
--      the sweep's cause
-- Answers stale, or {publish or known, version, revision}.
local user, due, revisions, gone = unpack(KEYS)
local found = redis.call('HMGET', user, 'revision', 'digest', 'unpublished', 'version')
local revision, digest, unpublished, version = unpack(found)
if revision ~= ARGV[2] or tonumber(newest(revisions)) ~= tonumber(ARGV[3]) then
  return {'stale'}
end

local changed = digest ~= ARGV[4]
-- Who was to publish the same list may have died before: its cause comes again, and a sweep
-- leaves its mark until the log has the list.
local publish = changed or unpublished == ARGV[5] or unpublished == ARGV[10]
if changed then
  local last = tonumber(version or 0)
  last = math.max(last, tonumber(redis.call('HGET', gone, 'version') or 0))
  version = later(string.format('%.0f', last), ARGV[6])
end
redis.call('HSET', user, 'digest', ARGV[4], 'version', version, 'considered', ARGV[7])
if publish then redis.call('HSET', user, 'unpublished', ARGV[5]) end
if ARGV[9] == '0' or not publish then redis.call('ZADD', due, ARGV[8], ARGV[1]) end
return {publish and 'publish' or 'known', version, touch(user, ARGV[6])}
