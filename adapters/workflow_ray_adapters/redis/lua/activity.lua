-- ARGV: now or '', limit. Returns the time, the leases, the newest epoch of each of their roles,
-- whether a process has the store exclusively, and rows [id, due, event, null, ""] of the events that
-- are not due yet, the next one first.

local now, limit = now_of(ARGV[2]), tonumber(ARGV[3])
local leases, epochs = redis.call('HGETALL', key('leases')), {}
for at = 1, #leases, 2 do
  epochs[#epochs + 1] = redis.call('HGET', key('fences'), leases[at]) or '0'
end
for _, member in ipairs(redis.call('ZRANGEBYLEX', key('delayed'), '(' .. now .. '\255', '+', 'LIMIT', 0, limit)) do
  local id = member:sub(DIGITS + 1)
  local entry = redis.call('HGET', key('outbox'), id)
  if entry then  -- else it was removed before it was due
    local _, _, due, event = unpack(cmsgpack.unpack(entry))
    put('[' .. id .. ',"' .. due .. '",' .. event .. ',null,""]')
  end
end
return answer(now, leases, epochs, redis.call('EXISTS', key('exclusive')))
