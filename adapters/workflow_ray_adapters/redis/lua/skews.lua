-- Run ids begin with the time at which a process chose them, by its own clock. `skews:<workflow>`
-- has the least and the most milliseconds that its runs were created after that: so a time of
-- creation bounds the ids to look at.

local FAR = 1e15  -- beyond any time that an id can hold

-- Milliseconds since 1970.
local function milliseconds(at)
  return (tonumber(at:sub(1, 12)) - UNIX_EPOCH) * 1000 + math.floor(tonumber(at:sub(13)) / 1000)
end

-- How long after the time in its id a run is created; least and most, which differ where the id has
-- no time in it.
local function skew_of(run_id, now)
  local first, second = run_id:match('^([0-9a-f]+)%-([0-9a-f]+)%-7')
  if not first or #first ~= 8 or #second ~= 4 then
    return -FAR, FAR
  end
  local skew = milliseconds(now) - tonumber(first .. second, 16)
  return skew, skew
end

-- Notes new runs of a workflow.
local function note_skews(workflow, run_ids, now)
  local stored = redis.call('HMGET', key('skews:' .. workflow), 'least', 'most')
  local least, most = tonumber(stored[1] or FAR), tonumber(stored[2] or -FAR)
  local before_least, before_most = least, most
  for _, run_id in ipairs(run_ids) do
    local low, high = skew_of(run_id, now)
    least, most = math.min(least, low), math.max(most, high)
  end
  if least < before_least or most > before_most then
    redis.call('HSET', key('skews:' .. workflow), 'least', whole(least), 'most', whole(most))
  end
end

local function id_at(time)
  time = math.max(0, math.min(time, 2^48 - 1))
  return string.format('%08x-%04x', math.floor(time / 65536), time % 65536)
end

-- What the ids of runs lie between that were created from one time on, and before another; '' where
-- that isn't given.
local function ids_between(workflow, from, to)
  local stored = redis.call('HMGET', key('skews:' .. workflow), 'least', 'most')
  local least, most = tonumber(stored[1] or FAR), tonumber(stored[2] or -FAR)
  return from ~= '' and id_at(milliseconds(from) - most) or '', to ~= '' and id_at(milliseconds(to) - least) .. '\255' or ''
end
