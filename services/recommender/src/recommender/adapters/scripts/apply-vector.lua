-- Keep a campaign's vector unless one of a later state is there; of equally old ones the last.
-- KEYS vectors, revisions  ARGV id, changed at, vector ('<changed at> <model>\n<floats>'), now
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  if old == ARGV[3] then return 0 end
  if tonumber(string.match(old, '^-?%d+')) > tonumber(ARGV[2]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], later(newest(KEYS[2]), ARGV[4]), ARGV[1])
return 1
