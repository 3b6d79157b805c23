-- Published events. The stream of a lane, `<partition>:<topic>`, has the event of offset n under the id 0-<n + 1>: so its last id says
-- which offset comes next, also where entries were dropped.

local function append(lane, event, retained)
  local at = key('stream:' .. lane)
  if retained == '' then
    redis.call('XADD', at, '0-*', 'event', event)
  else
    redis.call('XADD', at, 'MAXLEN', '~', retained, '0-*', 'event', event)
  end
end

-- What is to be hinted at once the lanes have grown.
local function topics(lanes)
  local names, seen = {}, {}
  for _, lane in ipairs(lanes) do
    local topic = lane:match('^%d+:(.*)$')
    if not seen[topic] then
      seen[topic] = true
      names[#names + 1] = 'topic:' .. topic
    end
  end
  return names
end

-- The offset that a lane's next event gets, as text, and how many events it has.
local function head(lane)
  local at = key('stream:' .. lane)
  if redis.call('EXISTS', at) == 0 then
    return '0', 0
  end
  local info = redis.call('XINFO', 'STREAM', at)
  local found = {}
  for place = 1, #info, 2 do
    found[info[place]] = info[place + 1]
  end
  return found['last-generated-id']:match('%d+$'), found['length']
end
