-- Published events. The stream of a topic-partition, `<partition>:<topic>`, has the event of offset
-- n under the id 0-<n + 1>: so its last id says which offset comes next, also where events were
-- trimmed. `trimmed` has the offset below which they were.

local function append(topic_partition, event)
  redis.call('XADD', key('stream:' .. topic_partition), '0-*', 'event', event)
end

-- The names to notify once the topic-partitions have grown.
local function grown(topic_partitions)
  local names, seen = {}, {}
  for _, topic_partition in ipairs(topic_partitions) do
    if not seen[topic_partition] then
      seen[topic_partition] = true
      names[#names + 1] = 'stream:' .. topic_partition
    end
  end
  return names
end

-- The offset that a topic-partition's next event gets, as text, how many events it has, and the
-- offset of the first.
local function head(topic_partition)
  local at = key('stream:' .. topic_partition)
  if redis.call('EXISTS', at) == 0 then
    return '0', 0
  end
  local info = redis.call('XINFO', 'STREAM', at)
  local found = {}
  for place = 1, #info, 2 do
    found[info[place]] = info[place + 1]
  end
  local first = found['first-entry']
  return found['last-generated-id']:match('%d+$'), found['length'], first and tonumber(first[1]:match('%d+$')) - 1
end
