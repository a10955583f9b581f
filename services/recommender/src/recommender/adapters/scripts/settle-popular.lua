-- The log has a version of a popular list. Answers 1 if something is due at once.
-- KEYS popular, chores
-- ARGV version, revision ('' for a list that was not held), mark, due, due if it was marked
--      meanwhile, now, the sweep's cause
local popular, chores = unpack(KEYS)
local version, revision, mark, at, marked, now, sweep = unpack(ARGV)
local last, stored = unpack(redis.call('HMGET', popular, 'version', 'mark'))
if not last then return 0 end -- the store was lost

local due = (stored or '0') == mark and at or marked
local again = arrived(popular, last, version, revision, due, now, sweep)
if again then redis.call('ZADD', chores, again, 'popular') end
return last ~= version and 1 or 0
