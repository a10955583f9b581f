-- A held popular list was published.
-- KEYS popular, chores  ARGV revision, mark, due, due if it was marked meanwhile
local found = redis.call('HMGET', KEYS[1], 'revision', 'mark')
if found[1] == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'unpublished')
  redis.call('ZADD', KEYS[2], (found[2] or '0') == ARGV[2] and ARGV[3] or ARGV[4], 'popular')
end
return 0
