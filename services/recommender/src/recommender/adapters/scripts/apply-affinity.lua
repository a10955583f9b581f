-- Keep an affinity that is newer than the stored one; answer with the user.
-- KEYS user, facts, gone  ARGV version, heard at, affinity, now
if not is_gone(KEYS[3], ARGV[2]) then
  local known = redis.call('HGET', KEYS[1], 'affinity-version')
  if not known or tonumber(ARGV[1]) > tonumber(known) then
    redis.call('HSET', KEYS[1],
      'affinity-version', ARGV[1], 'heard-at', ARGV[2], 'affinity', ARGV[3])
    touch(KEYS[1], ARGV[4], KEYS[3])
  end
end
return state(KEYS[1], KEYS[2], ARGV[1])
