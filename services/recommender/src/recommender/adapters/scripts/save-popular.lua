-- Keep that a popular list was made, unless what it was made from has changed.
-- KEYS popular, chores, revisions
-- ARGV revision, catalog revision, mark, digest, cause, now, standings, due, held,
--      due if it was marked meanwhile, the sweep's cause
local popular, chores, revisions = unpack(KEYS)
local found = redis.call('HMGET', popular, 'revision', 'digest', 'unpublished', 'version', 'mark')
local revision, digest, unpublished, version, mark = unpack(found)
if (revision or '0') ~= ARGV[1] or tonumber(newest(revisions)) ~= tonumber(ARGV[2]) then
  return {'stale'}
end

local changed = digest ~= ARGV[4]
local publish = changed or unpublished == ARGV[5] or unpublished == ARGV[11]
if changed then version = later(version, ARGV[6]) end
redis.call('HSET', popular, 'digest', ARGV[4], 'version', version, 'standings', ARGV[7])
if publish then redis.call('HSET', popular, 'unpublished', ARGV[5]) end
if ARGV[9] == '0' or not publish then
  local due = (mark or '0') == ARGV[3] and ARGV[8] or ARGV[10]
  redis.call('ZADD', chores, due, 'popular')
end
return {publish and 'publish' or 'known', version, touch(popular, ARGV[6])}
