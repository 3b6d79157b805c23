-- Events committed and not yet published: `outbox` has them by id, `lane:<partition>:<topic>` the ids of those that are due, `lanes`
-- the lanes that have some, by the id of their first, and `delayed` what gets due later. `awaited` counts each run's.

-- events: each {run_id, lane, due or '', event}, in order of commit.
local function add(events)
  if #events == 0 then
    return
  end
  local last, entries, delayed, lanes = latest('counters', 'outbox'), {}, {}, {}
  for _, event in ipairs(events) do
    last = last + 1
    local id, run_id, lane, due = whole(last), unpack(event)
    entries[#entries + 1] = id
    entries[#entries + 1] = cmsgpack.pack(event)
    redis.call('HINCRBY', key('awaited'), run_id, 1)
    if due == '' then
      lanes[lane] = lanes[lane] or {}
      table.insert(lanes[lane], id)
      table.insert(lanes[lane], id)
    else
      delayed[#delayed + 1] = 0
      delayed[#delayed + 1] = due .. id
    end
  end
  redis.call('HSET', key('counters'), 'outbox', whole(last))
  each('HSET', key('outbox'), entries, 2)
  each('ZADD', key('delayed'), delayed, 2)
  for lane, ids in pairs(lanes) do
    each('ZADD', key('lane', lane), ids, 2)
    redis.call('ZADD', key('lanes'), 'NX', ids[1], lane)
  end
end

-- Lines up what has become due, as if it had been from the start.
local RIPE = 2000

local function ripen(now)
  local due = redis.call('ZRANGEBYLEX', key('delayed'), '-', '[' .. now .. '\255', 'LIMIT', 0, RIPE)
  for _, member in ipairs(due) do
    local id = member:sub(#now + 1)
    local event = redis.call('HGET', key('outbox'), id)
    redis.call('ZREM', key('delayed'), member)
    if event then  -- else it was removed before it was due
      local lane = cmsgpack.unpack(event)[2]
      redis.call('ZADD', key('lane', lane), id, id)
      redis.call('ZADD', key('lanes'), 'LT', id, lane)
    end
  end
end

-- When the next delayed one gets due; '' where there is none.
local function next_due(digits)
  local first = redis.call('ZRANGEBYLEX', key('delayed'), '-', '+', 'LIMIT', 0, 1)[1]
  return first and first:sub(1, digits) or ''
end

-- Lanes that have something due, and how much to take of each: an even share of `limit`, and what the small ones leave over. Where
-- there are more lanes than that, those with the oldest.
local function shares(limit, without)
  local lanes, excluded = {}, {}
  for _, lane in ipairs(without) do
    excluded[lane] = true
  end
  for _, lane in ipairs(redis.call('ZRANGE', key('lanes'), 0, limit + #without - 1)) do
    if #lanes < limit and not excluded[lane] then
      lanes[#lanes + 1] = {lane, redis.call('ZCARD', key('lane', lane))}
    end
  end
  table.sort(lanes, function(one, other) return one[2] < other[2] end)
  for at, share in ipairs(lanes) do
    share[2] = math.min(share[2], math.floor(limit / (#lanes - at + 1)))
    limit = limit - share[2]
  end
  return lanes
end

-- Up to `limit` entries that are due, each lane's in order: {lane, id, run_id, due, event}.
local function due(limit, without)
  local entries = {}
  for _, share in ipairs(shares(limit, without)) do
    local lane, many = unpack(share)
    if many > 0 then
      local ids = redis.call('ZRANGE', key('lane', lane), 0, many - 1)
      for _, id in ipairs(ids) do
        local run_id, _, at, event = unpack(cmsgpack.unpack(redis.call('HGET', key('outbox'), id)))
        entries[#entries + 1] = {lane, id, run_id, at, event}
      end
    end
  end
  return entries
end

-- Removes entries, each {lane, id, run_id}.
local function remove(entries)
  local lanes, ids = {}, {}
  for _, entry in ipairs(entries) do
    local lane, id, run_id = unpack(entry)
    lanes[lane] = lanes[lane] or {}
    table.insert(lanes[lane], id)
    ids[#ids + 1] = id
    if redis.call('HINCRBY', key('awaited'), run_id, -1) <= 0 then
      redis.call('HDEL', key('awaited'), run_id)
    end
  end
  each('HDEL', key('outbox'), ids, 1)
  for lane, gone in pairs(lanes) do
    each('ZREM', key('lane', lane), gone, 1)
    local first = redis.call('ZRANGE', key('lane', lane), 0, 0)[1]
    if first then
      redis.call('ZADD', key('lanes'), first, lane)
    else
      redis.call('ZREM', key('lanes'), lane)
    end
  end
end
