-- Keep that a list was made, unless what it was made from has changed.
-- KEYS user, due, revisions, gone
-- ARGV user id, revision, catalog revision, digest, cause, now, considered campaigns, due, held,
--      the sweep's cause, when all that is on its way to the log has arrived
-- Answers stale, or {publish or known, version, revision, 1 if a sweep owes one more}.
local user, due, revisions, gone = unpack(KEYS)
local id, revision, catalog, digest, cause, now, considered = unpack(ARGV, 1, 7)
local at, held, sweep, landed = unpack(ARGV, 8, 11)
local known, last, again = unpack(redis.call('HMGET', user, 'revision', 'version', 'astray'))
if known ~= revision or tonumber(newest(revisions)) ~= tonumber(catalog) then
  return {'stale'}
end

if not last then last, again = unpack(redis.call('HMGET', gone, 'version', 'astray')) end
local publish, version
publish, version, again = noted(user, last, again, digest, cause, now, sweep, landed)
redis.call('HSET', user, 'considered', considered)
if held == '0' or not publish then redis.call('ZADD', due, earlier(at, again), id) end
return {publish and 'publish' or 'known', version, touch(user, now), again and 1 or 0}
