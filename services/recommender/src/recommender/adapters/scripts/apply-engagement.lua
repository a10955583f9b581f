-- Count an engagement whose id is new: the user's facts, the campaign's tally and the mark on the
-- popular list, together. Answers 1 if it was counted.
-- KEYS user, facts, ids, gone, tallies, popular, chores
-- ARGV id, campaign, kind (i, c, v or d), at, taken at, now, oldest id to remember, seconds to
--      remember ids, facts to keep, epoch, half-life, when the popular list is due
local user, facts, ids, gone, tallies, popular, chores = unpack(KEYS)
local id, campaign, kind, at, taken, now = unpack(ARGV, 1, 6)
local oldest, remembered, kept, epoch, half_life, due = unpack(ARGV, 7, 12)
kept = tonumber(kept)

if is_gone(gone, taken) then return 0 end
redis.call('ZREMRANGEBYSCORE', ids, '-inf', '(' .. oldest)
-- One that was taken in long ago is remembered for a day: it may be on its way a second time.
local day_left = tonumber(oldest) + 86400 * 1000000
if redis.call('ZADD', ids, 'NX', math.max(tonumber(taken), day_left), id) == 0 then return 0 end
redis.call('EXPIRE', ids, remembered)

-- When the user last clicked or converted, false if never.
local function engaged_at()
  local last = false
  for _, letter in ipairs({'c', 'v'}) do
    local entries = redis.call('HGET', facts, letter .. campaign) or ''
    for one in string.gmatch(entries, '(%d+) %d+;') do
      if not last or tonumber(one) > last then last = tonumber(one) end
    end
  end
  return last
end

-- The newest of the entries 'at taken;', as many as are kept.
local function trimmed(entries)
  local found = {}
  for entry, time in string.gmatch(entries, '((%d+) %d+;)') do
    found[#found + 1] = {tonumber(time), entry}
  end
  table.sort(found, function(one, other)
    if one[1] == other[1] then return one[2] > other[2] end
    return one[1] > other[1]
  end)
  local newest_ones = {}
  for rank = 1, math.min(#found, kept) do newest_ones[rank] = found[rank][2] end
  return table.concat(newest_ones)
end

-- The arithmetic of domain/decay.py: logarithms to base 2, -inf is nothing.
local nothing = -math.huge
local function weight(time) return (time - tonumber(epoch)) / tonumber(half_life) end
local function added(one, other)
  local low, high = math.min(one, other), math.max(one, other)
  if low == nothing then return high end
  return high + math.log(1 + 2 ^ (low - high)) / math.log(2)
end
local function moved(later_one, earlier) -- nothing if it would move back
  local gained = 1 - 2 ^ (earlier - later_one)
  if gained <= 0 then return nothing end
  return later_one + math.log(gained) / math.log(2)
end

local sums = {nothing, nothing, nothing, nothing, nothing}
local place = 0
for text in string.gmatch(redis.call('HGET', tallies, campaign) or '', '%S+') do
  place = place + 1
  if text ~= '-' then sums[place] = tonumber(text) end
end

local gain = weight(tonumber(at))
local slot = ({i = 1, c = 2, v = 3, d = 4})[kind]
sums[slot] = added(sums[slot], gain)
if kind == 'c' or kind == 'v' then
  local before = engaged_at()
  sums[5] = added(sums[5], before and moved(gain, weight(before)) or gain)
end

local texts = {}
for index, sum in ipairs(sums) do
  texts[index] = sum == nothing and '-' or string.format('%.17g', sum)
end
redis.call('HSET', tallies, campaign, table.concat(texts, ' '))

local entries = (redis.call('HGET', facts, kind .. campaign) or '') .. at .. ' ' .. taken .. ';'
-- Twice as long as need be: sorting at every impression would cost more than it saves.
if #entries > 64 * kept then entries = trimmed(entries) end
redis.call('HSET', facts, kind .. campaign, entries)

touch(user, now, gone)
redis.call('HINCRBY', popular, 'mark', 1)
redis.call('ZADD', chores, 'LT', due, 'popular')
return 1
