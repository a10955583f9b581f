-- Keep a state of a campaign unless a later one is there; of equally old ones the last holds.
-- KEYS campaigns, revisions, changed, chores, popular
-- ARGV id, changed at, state ('<changed at> <json>'), now, fingerprint
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  if old == ARGV[3] then return 0 end
  if tonumber(string.match(old, '^-?%d+')) > tonumber(ARGV[2]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], later(newest(KEYS[2]), ARGV[4]), ARGV[1])
redis.call('SADD', KEYS[3], ARGV[5])
redis.call('HINCRBY', KEYS[5], 'mark', 1)
redis.call('ZADD', KEYS[4], 'LT', ARGV[4], 'walk', ARGV[4], 'popular')
return 1
