-- ARGV: topic, limit, limit of each partition, bytes of a batch, then partition and offset,
-- partition and offset. Returns rows [partition, id, event, record or null], one of each partition
-- in turn; {partition, end} of the partitions that have no event from the offset on; and
-- {partition, offset} below which events were trimmed, of those whose first event isn't the one
-- asked for.

local topic, limit, share, batch = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local waiting, ends, trimmed, longest = {}, {}, {}, 0
for at = 6, #ARGV, 2 do
  local partition, offset = ARGV[at], ARGV[at + 1]
  local topic_partition = partition .. ':' .. topic
  local events = redis.call('XRANGE', key('stream:' .. topic_partition), '(0-' .. offset, '+', 'COUNT', share)
  if #events == 0 then
    ends[#ends + 1] = {partition, (head(topic_partition))}
  else
    waiting[#waiting + 1] = {partition, events}
    longest = math.max(longest, #events)
    if events[1][1] ~= '0-' .. whole(tonumber(offset) + 1) then
      trimmed[#trimmed + 1] = {partition, redis.call('HGET', key('trimmed'), topic_partition) or '0'}
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
return answer(ends, trimmed)
