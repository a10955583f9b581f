-- Users whose lists one of the campaigns may change are due now. A page of the walk.
-- KEYS due, users...  ARGV now, fingerprints (of four bytes each), user ids...
local wanted = {}
for place = 1, #ARGV[2], 4 do wanted[#wanted + 1] = string.sub(ARGV[2], place, place + 3) end
for place = 2, #KEYS do
  local considered = redis.call('HGET', KEYS[place], 'considered') or ''
  for _, fingerprint in ipairs(wanted) do
    if string.find(considered, fingerprint, 1, true) then
      redis.call('ZADD', KEYS[1], 'LT', ARGV[1], ARGV[place + 1])
      break
    end
  end
end
return 0
