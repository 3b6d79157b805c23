-- ARGV: now or '', after whom or '', limit, run ids. Looks through the next delayed entries, up to the
-- limit. Returns rows [id, due, event, null, ""] of those that are events of these runs and not due yet,
-- the next one first; and after whom to go on, '' at the end.

local now, after, limit = now_of(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local wanted, members = {}, {}
for at = 5, #ARGV do
  wanted[ARGV[at]] = redis.call('HEXISTS', key('awaited'), ARGV[at]) == 1 or nil
end
if next(wanted) then  -- else none of them has an event in the outbox
  local first = after == '' and '(' .. now .. '\255' or '(' .. after
  members = redis.call('ZRANGEBYLEX', key('delayed'), first, '+', 'LIMIT', 0, limit)
end
for from = 1, #members, PORTION do
  local ids = {}
  for at = from, math.min(from + PORTION - 1, #members) do
    ids[#ids + 1] = members[at]:sub(DIGITS + 1)
  end
  for at, entry in ipairs(redis.call('HMGET', key('outbox'), unpack(ids))) do
    if entry then  -- else it was removed before it was due
      local run_id, _, due, event = unpack(cmsgpack.unpack(entry))
      if wanted[run_id] then
        put('[' .. ids[at] .. ',"' .. due .. '",' .. event .. ',null,""]')
      end
    end
  end
end
return answer(#members == limit and members[#members] or '')
