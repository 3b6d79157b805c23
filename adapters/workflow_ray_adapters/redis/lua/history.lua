-- ARGV: run id, after which version, limit, bytes of a page. Returns rows [time, entry, whether it
-- has data].

local at, after, limit, batch = key('run:' .. ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local version = tonumber((state_of(ARGV[2])) or '0')
local first = math.max(after + 1, tonumber(redis.call('HGET', at, 'first') or '1'))
for number = first, math.min(version, first + limit - 1) do
  local entry, data = unpack(redis.call('HMGET', at, 'entry:' .. whole(number), 'data:' .. whole(number)))
  put('[' .. entry_of(entry) .. ',' .. (data and 'true' or 'false') .. ']', data)
  if size > batch then
    break
  end
end
return answer()
