-- Keep that a popular list was made, unless what it was made from has changed.
-- KEYS popular, chores, revisions
-- ARGV revision, catalog revision, mark, digest, cause, now, standings, due, held,
--      due if it was marked meanwhile, the sweep's cause, when all that is on its way to the log
--      has arrived
local popular, chores, revisions = unpack(KEYS)
local revision, catalog, mark, digest, cause, now, standings = unpack(ARGV, 1, 7)
local at, held, marked, sweep, landed = unpack(ARGV, 8, 12)
local found = redis.call('HMGET', popular, 'revision', 'version', 'mark', 'astray')
if (found[1] or '0') ~= revision or tonumber(newest(revisions)) ~= tonumber(catalog) then
  return {'stale'}
end

local publish, version, again =
  noted(popular, found[2], found[4], digest, cause, now, sweep, landed)
redis.call('HSET', popular, 'standings', standings)
if held == '0' or not publish then
  local due = (found[3] or '0') == mark and at or marked
  redis.call('ZADD', chores, earlier(due, again), 'popular')
end
return {publish and 'publish' or 'known', version, touch(popular, now)}
