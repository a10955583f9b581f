"""What Redis has to do in one step, in its own language.

Versions come as 20 digits, so that they compare as texts. Each entry in a row ends with NUL, which
no id contains.
"""

from __future__ import annotations

SPEND = """
-- KEYS: count of the window at hand, count of the one before. ARGV: limit, window in ms
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
-- A count lives for two windows: when less than one is left it has become the one before.
local left = redis.call('PTTL', KEYS[1])
if left > 0 and left <= window then
    redis.call('RENAME', KEYS[1], KEYS[2])
    redis.call('SET', KEYS[1], 0, 'PX', left + window)
end
local past = tonumber(redis.call('GET', KEYS[2]) or 0)
local past_left = math.max(0, redis.call('PTTL', KEYS[2]))
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
local allowed = math.floor(past * past_left / window) + count + 1 <= limit
if allowed then
    count = redis.call('INCR', KEYS[1])
    if count == 1 and redis.call('PTTL', KEYS[1]) < 0 then
        redis.call('PEXPIRE', KEYS[1], 2 * window)
    end
end
left = math.max(0, redis.call('PTTL', KEYS[1]))
return {allowed and 1 or 0, count, left, past, past_left}
"""

TAKE_SLOT = """
-- KEYS: slots by the time they end. ARGV: now, when this one ends, most slots, its name
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return 1
"""

PUT_LIST = """
-- KEYS: list, tombstone. ARGV: version, body ('': forgotten), ms a tombstone stays, channel
local version, body = ARGV[1], ARGV[2]
if version <= redis.call('GETRANGE', KEYS[1], 0, 19) then return 0 end
if version <= (redis.call('GET', KEYS[2]) or '') then return 0 end
if body == '' then
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[2], version, 'PX', ARGV[3])
else
    redis.call('SET', KEYS[1], version .. body)
    redis.call('DEL', KEYS[2])
end
redis.call('PUBLISH', ARGV[4], '')
return 1
"""

NOTE_CAMPAIGN = r"""
-- KEYS: versions and entries by id, entries by time, the same as a row, users the campaign excludes
-- ARGV: id, version, when it is shown and its id ('': at any time), most entries,
--       prefix of users' rows, channel, users that it excludes
local id, version, entry, prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local known = redis.call('HGET', KEYS[1], id) or ''
if version <= string.sub(known, 1, 20) then return 0 end
redis.call('HSET', KEYS[1], id, version .. entry)

if #known > 20 then redis.call('ZREM', KEYS[2], string.sub(known, 21)) end
if entry ~= '' then redis.call('ZADD', KEYS[2], version, entry) end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -(tonumber(ARGV[4]) + 1))
redis.call('SET', KEYS[3], table.concat(redis.call('ZRANGE', KEYS[2], 0, -1), '\0'))

local mark = id .. '\0'
local function row_without(key)
    local row = redis.call('GET', key) or ''
    local at = string.find('\0' .. row, '\0' .. mark, 1, true)
    return at and string.sub(row, 1, at - 1) .. string.sub(row, at + #mark) or row
end
for _, user in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    local row = row_without(prefix .. user)
    if row == '' then
        redis.call('DEL', prefix .. user)
    else
        redis.call('SET', prefix .. user, row)
    end
end
redis.call('DEL', KEYS[4])
for n = 7, #ARGV do
    local key = prefix .. ARGV[n]
    redis.call('SET', key, row_without(key) .. mark)
    redis.call('SADD', KEYS[4], ARGV[n])
end
redis.call('PUBLISH', ARGV[6], '')
return 1
"""

KEEP_LEASE = """
-- KEYS: lease. ARGV: whose, ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

FINISH = """
-- KEYS: lease, marker. ARGV: whose, what the marker says
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
"""
