-- ARGV: topic, limit, limit of each partition, bytes of a batch, then partition and offset, partition and offset. Answers rows
-- [partition, id, event, record or null], one of each partition in turn, and of the partitions that end before the offset, as
-- {partition, end}.

local topic, limit, share, batch = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local waiting, short, longest = {}, {}, 0
for at = 6, #ARGV, 2 do
  local partition, offset = ARGV[at], ARGV[at + 1]
  local lane = partition .. ':' .. topic
  local events = redis.call('XRANGE', key('stream:' .. lane), '(0-' .. offset, '+', 'COUNT', share)
  if #events > 0 then
    waiting[#waiting + 1] = {partition, events}
    longest = math.max(longest, #events)
  elseif offset ~= '0' then
    local stop = head(lane)
    if above(offset, stop) then
      short[#short + 1] = {partition, stop}
    end
  end
end

local function read()
  for turn = 1, longest do
    for _, one in ipairs(waiting) do
      local partition, event = one[1], one[2][turn]
      if event then
        local body = event[2][2]
        local found, data = record(cjson.decode(body).run_id)
        put('[' .. partition .. ',"' .. event[1]:sub(3) .. '",' .. body .. ',' .. (found or 'null') .. ']', data)
        if #rows >= limit or size > batch then
          return
        end
      end
    end
  end
end

read()
return answer(short)
