-- A held list was published: the user is due at another time, unless they changed since.
-- KEYS user, due  ARGV user id, revision, due
if redis.call('HGET', KEYS[1], 'revision') == ARGV[2] then
  redis.call('HDEL', KEYS[1], 'unpublished')
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
end
return 0
