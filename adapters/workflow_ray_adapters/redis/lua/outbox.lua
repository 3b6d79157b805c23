-- Entries that were committed and are not yet published: `outbox` has them by id. Those that may be
-- published wait in queues, `queue:<kind>:<topic-partition>`, which hold ids in commit order; `queues:<kind>` has
-- the topic-partitions of that kind that have some, by their first id. The kinds are `now`, what
-- was never delayed, and `due`, what was. `delayed` has what gets due later. `awaited` counts each
-- run's events.

-- The queue of timeouts for another store, in place of a topic-partition.
local TIMEOUTS = 'timeouts'

-- Counts the events of runs: one more or one less for each of the run ids.
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

-- Adds entries, each {run_id, topic-partition, due or '', event}, or {'', TIMEOUTS, '', timeout,
-- due time of that}, in order of commit.
local function add(added)
  if #added == 0 then
    return
  end
  local last, entries, run_ids, delayed, queues = latest('counters', 'outbox'), {}, {}, {}, {}
  for _, entry in ipairs(added) do
    last = last + 1
    local id, run_id, queue, due = whole(last), unpack(entry)
    if run_id ~= '' then
      run_ids[#run_ids + 1] = run_id
    end
    entries[#entries + 1] = id
    entries[#entries + 1] = cmsgpack.pack(entry)
    local into, score = within(queues, queue), id
    if due ~= '' then
      into, score, id = delayed, 0, due .. id
    end
    into[#into + 1] = score
    into[#into + 1] = id
  end
  redis.call('HSET', key('counters'), 'outbox', whole(last))
  each('HSET', key('outbox'), entries)
  each('ZADD', key('delayed'), delayed)
  for queue, ids in pairs(queues) do
    if #ids > 0 then
      each('ZADD', key('queue:now:' .. queue), ids)
      redis.call('ZADD', key('queues:now'), 'NX', ids[1], queue)
    end
  end
  await(run_ids, 1)
end

-- Moves entries that have become due into their queues.
local RIPE = 2000

local function ripen(now)
  local due = redis.call('ZRANGEBYLEX', key('delayed'), '-', '[' .. now .. '\255', 'LIMIT', 0, RIPE)
  for _, member in ipairs(due) do
    local id = member:sub(DIGITS + 1)
    local entry = redis.call('HGET', key('outbox'), id)
    redis.call('ZREM', key('delayed'), member)
    if entry then  -- else it was removed before it was due
      local queue = cmsgpack.unpack(entry)[2]
      redis.call('ZADD', key('queue:due:' .. queue), id, id)
      redis.call('ZADD', key('queues:due'), 'LT', id, queue)
    end
  end
end

-- In how many microseconds the next delayed one gets due; '' where there is none.
local function next_due(now)
  local first = redis.call('ZRANGEBYLEX', key('delayed'), '-', '+', 'LIMIT', 0, 1)[1]
  return until_due(now, first and first:sub(1, DIGITS) or '')
end

-- The queues of a kind that are wanted, and how much to take of each: an even share of `limit`, and
-- what the small ones leave over. Where there are more queues than that, those with the oldest ids.
local function shares(kind, limit, excluded, many)
  local queues, left = {}, limit
  for _, queue in ipairs(redis.call('ZRANGE', key('queues:' .. kind), 0, limit + many - 1)) do
    if #queues < limit and not excluded[queue] then
      queues[#queues + 1] = {queue, redis.call('ZCARD', key('queue:' .. kind .. ':' .. queue))}
    end
  end
  table.sort(queues, function(one, other) return one[2] < other[2] end)
  for at, share in ipairs(queues) do
    share[2] = math.min(share[2], math.floor(left / (#queues - at + 1)))
    left = left - share[2]
  end
  return queues, limit - left
end

local function collect(entries, kind, queues)
  for _, share in ipairs(queues) do
    local queue, many = unpack(share)
    for first = 0, many - 1, PORTION do
      local ids = redis.call('ZRANGE', key('queue:' .. kind .. ':' .. queue), first, math.min(first + PORTION, many) - 1)
      for at, packed in ipairs(redis.call('HMGET', key('outbox'), unpack(ids))) do
        local run_id, _, due, body, timeout_due = unpack(cmsgpack.unpack(packed))
        entries[#entries + 1] = {queue, ids[at], run_id, due, body, timeout_due}
      end
    end
  end
end

-- The entries that may be published, up to `limit`, in commit order: {topic-partition, id, run_id, due,
-- event}. While there are entries of both kinds they share the limit; the odd one is of
-- either kind in turn, so that a limit of one holds up neither.
local function due(limit, without, turn)
  local excluded, entries = {}, {}
  for _, queue in ipairs(without) do
    excluded[queue] = true
  end
  local first, second = 'now', 'due'
  if turn % 2 == 1 then
    first, second = second, first
  end
  local _, many = shares(second, limit, excluded, #without)
  local queues, taken = shares(first, math.max(limit - math.floor(limit / 2), limit - many), excluded, #without)
  collect(entries, first, queues)
  collect(entries, second, (shares(second, limit - taken, excluded, #without)))
  table.sort(entries, function(one, other) return tonumber(one[2]) < tonumber(other[2]) end)
  return entries
end

-- The timeouts for another store.
local function due_timeouts(limit)
  local entries = {}
  collect(entries, 'now', {{TIMEOUTS, math.min(limit, redis.call('ZCARD', key('queue:now:' .. TIMEOUTS)))}})
  return entries
end

-- Removes entries, each {topic-partition, id, run_id, due}.
local function remove(entries)
  local queues, ids, run_ids = {now = {}, due = {}}, {}, {}
  for at, entry in ipairs(entries) do
    local queue, id, run_id, due_at = unpack(entry)
    local gone = within(queues[due_at == '' and 'now' or 'due'], queue)
    gone[#gone + 1], ids[at] = id, id
    if run_id ~= '' then
      run_ids[#run_ids + 1] = run_id
    end
  end
  each('HDEL', key('outbox'), ids)
  for kind, of_kind in pairs(queues) do
    for queue, gone in pairs(of_kind) do
      local at = key('queue:' .. kind .. ':' .. queue)
      each('ZREM', at, gone)
      local first = redis.call('ZRANGE', at, 0, 0)[1]
      if first then
        redis.call('ZADD', key('queues:' .. kind), first, queue)
      else
        redis.call('ZREM', key('queues:' .. kind), queue)
      end
    end
  end
  await(run_ids, -1)
end
