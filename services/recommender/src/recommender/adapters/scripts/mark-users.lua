-- Users whose lists one of the campaigns may change are due now. A page of the walk.
-- KEYS due, users...  ARGV now, fingerprints (of four bytes each), user ids...
local wanted = {}
for fingerprint in string.gmatch(ARGV[2], '....') do wanted[fingerprint] = true end
for place = 2, #KEYS do
  local considered = redis.call('HGET', KEYS[place], 'considered') or ''
  for fingerprint in string.gmatch(considered, '....') do
    if wanted[fingerprint] then
      redis.call('ZADD', KEYS[1], 'LT', ARGV[1], ARGV[place + 1])
      break
    end
  end
end
return 0
