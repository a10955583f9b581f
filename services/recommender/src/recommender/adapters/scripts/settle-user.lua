-- The log has a version of a user's list, or of its end. Answers 1 if something is due at once.
-- KEYS user, due, gone
-- ARGV user id, version, revision ('' for a list that was not held), due, now, the sweep's cause
local user, due, gone = unpack(KEYS)
local id, version, revision, at, now, sweep = unpack(ARGV)
local last = redis.call('HGET', user, 'version') or redis.call('HGET', gone, 'version')
if not last then return 0 end -- the store was lost

local again = arrived(user, last, version, revision, at, now, sweep)
if again then redis.call('ZADD', due, again, id) end
if last == version then return 0 end
if redis.call('EXISTS', user) == 0 then owe_end(gone, now) end
return 1
