-- ARGV: role, epoch, now or '', limit, whose turn it is, whether timeouts only, then
-- topic-partitions to leave out. Returns false and the newest epoch; or rows [id, due, event or
-- null, timeout or null, due time of that], and in how many microseconds the next gets due.

local role, epoch, now, limit, turn, timeouts_only = ARGV[2], ARGV[3], now_of(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local current = lost(role, epoch)
if current then
  return {false, current}
end
ripen(now)
local entries = timeouts_only == '1' and due_timeouts(limit) or due(limit, {unpack(ARGV, 8)}, turn)
for _, entry in ipairs(entries) do
  local queue, id, _, at, body, timeout_due = unpack(entry)
  local event, timeout = body, 'null'
  if queue == TIMEOUTS then
    event, timeout = timeout, event
  end
  put('[' .. id .. ',"' .. at .. '",' .. event .. ',' .. timeout .. ',"' .. (timeout_due or '') .. '"]')
end
return answer(timeouts_only == '1' and '' or next_due(now))
