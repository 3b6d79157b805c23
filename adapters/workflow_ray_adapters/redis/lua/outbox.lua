-- Events committed and not yet published: `outbox` has them by id, `lane:<partition>:<topic>` the ids of those that are due, `lanes`
-- the lanes that have some, by the id of their first, and `delayed` what gets due later. `awaited` counts each run's.

-- Counts what each run waits for: one more or one less for each of the run ids.
local function await(run_ids, change)
  local changes, names = {}, {}
  for _, run_id in ipairs(run_ids) do
    if not changes[run_id] then
      names[#names + 1] = run_id
    end
    changes[run_id] = (changes[run_id] or 0) + change
  end
  local more, none = {}, {}
  for first = 1, #names, PORTION do
    local portion = {unpack(names, first, math.min(first + PORTION - 1, #names))}
    for at, before in ipairs(redis.call('HMGET', key('awaited'), unpack(portion))) do
      local count = (before or 0) + changes[portion[at]]
      if count > 0 then
        more[#more + 1] = portion[at]
        more[#more + 1] = count
      else
        none[#none + 1] = portion[at]
      end
    end
  end
  each('HSET', key('awaited'), more)
  each('HDEL', key('awaited'), none)
end

-- events: each {run_id, lane, due or '', event}, in order of commit.
local function add(events)
  if #events == 0 then
    return
  end
  local last, entries, run_ids, delayed, lanes = latest('counters', 'outbox'), {}, {}, {}, {}
  for at, event in ipairs(events) do
    last = last + 1
    local id, run_id, lane, due = whole(last), unpack(event)
    run_ids[at] = run_id
    entries[#entries + 1] = id
    entries[#entries + 1] = cmsgpack.pack(event)
    local into, score = within(lanes, lane), id
    if due ~= '' then
      into, score, id = delayed, 0, due .. id
    end
    into[#into + 1] = score
    into[#into + 1] = id
  end
  redis.call('HSET', key('counters'), 'outbox', whole(last))
  each('HSET', key('outbox'), entries)
  each('ZADD', key('delayed'), delayed)
  for lane, ids in pairs(lanes) do
    if #ids > 0 then
      each('ZADD', key('lane:' .. lane), ids)
      redis.call('ZADD', key('lanes'), 'NX', ids[1], lane)
    end
  end
  await(run_ids, 1)
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
      redis.call('ZADD', key('lane:' .. lane), id, id)
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
      lanes[#lanes + 1] = {lane, redis.call('ZCARD', key('lane:' .. lane))}
    end
  end
  table.sort(lanes, function(one, other) return one[2] < other[2] end)
  for at, share in ipairs(lanes) do
    share[2] = math.min(share[2], math.floor(limit / (#lanes - at + 1)))
    limit = limit - share[2]
  end
  return lanes
end

-- What is due, up to `limit` entries, each lane's in order: {lane, id, run_id, due, event}.
local function due(limit, without)
  local entries = {}
  for _, share in ipairs(shares(limit, without)) do
    local lane, many = unpack(share)
    for first = 0, many - 1, PORTION do
      local ids = redis.call('ZRANGE', key('lane:' .. lane), first, math.min(first + PORTION, many) - 1)
      for at, packed in ipairs(redis.call('HMGET', key('outbox'), unpack(ids))) do
        local run_id, _, due_at, event = unpack(cmsgpack.unpack(packed))
        entries[#entries + 1] = {lane, ids[at], run_id, due_at, event}
      end
    end
  end
  return entries
end

-- Removes entries, each {lane, id, run_id}.
local function remove(entries)
  local lanes, ids, run_ids = {}, {}, {}
  for at, entry in ipairs(entries) do
    local lane, id, run_id = unpack(entry)
    local gone = within(lanes, lane)
    gone[#gone + 1], ids[at], run_ids[at] = id, id, run_id
  end
  each('HDEL', key('outbox'), ids)
  for lane, gone in pairs(lanes) do
    each('ZREM', key('lane:' .. lane), gone)
    local first = redis.call('ZRANGE', key('lane:' .. lane), 0, 0)[1]
    if first then
      redis.call('ZADD', key('lanes'), first, lane)
    else
      redis.call('ZREM', key('lanes'), lane)
    end
  end
  await(run_ids, -1)
end
