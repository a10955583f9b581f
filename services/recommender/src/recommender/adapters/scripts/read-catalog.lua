-- What of a tenant's campaigns and standings is newer than what the caller has.
-- KEYS revisions, campaigns, vectors, popular  ARGV known revision, known popular revision
-- Answers {revision, 1 if the caller's is from a store that was lost, ids, campaigns, vectors,
-- popular revision, standings (nil if the caller has them)}.
local revisions, campaigns, vectors, popular = unpack(KEYS)
local top = newest(revisions)
local lost = tonumber(top) < tonumber(ARGV[1])
local ids = {}
if lost then
  ids = redis.call('ZRANGE', revisions, 0, -1)
elseif tonumber(top) > tonumber(ARGV[1]) then
  ids = redis.call('ZRANGEBYSCORE', revisions, '(' .. ARGV[1], '+inf')
end
local states, directions = {}, {}
for place, id in ipairs(ids) do
  states[place] = redis.call('HGET', campaigns, id)
  directions[place] = redis.call('HGET', vectors, id)
end
local found = redis.call('HMGET', popular, 'revision', 'standings')
local revision = found[1] or '0'
return {top, lost and 1 or 0, ids, states, directions, revision,
  revision ~= ARGV[2] and found[2] or false}
