-- ARGV: now or '', `<status>:<workflow>`, where to begin, as ZRANGEBYLEX takes it, the most keys, the
-- most runs of each. Returns rows [key, how many hold a slot, [[run id, priority], ...]], no data, the
-- time, how often the status has changed, how many hold a slot in all, and 1 if there are more keys.

local now, at, most, per_key = now_of(ARGV[2]), ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local keys = redis.call('ZRANGEBYLEX', key('parking_keys:' .. at), ARGV[4], '+', 'LIMIT', 0, most + 1)
for place = 1, math.min(#keys, most) do
  local of_key, runs = at .. '\0' .. keys[place], {}
  local stored = redis.call('ZRANGE', key('parked:' .. of_key), 0, per_key - 1, 'WITHSCORES')
  for one = 1, #stored, 2 do
    runs[#runs + 1] = '[' .. cjson.encode(stored[one]) .. ',' .. whole(0 - tonumber(stored[one + 1])) .. ']'
  end
  put('[' .. cjson.encode(keys[place]) .. ',' .. redis.call('SCARD', key('slots:' .. of_key)) .. ',[' .. table.concat(runs, ',') .. ']]')
end
local change = redis.call('HGET', key('parking_changes'), at) or '0'
return answer(now, change, redis.call('SCARD', key('slots:' .. at)), #keys > most and 1 or 0)
