-- ARGV: now or '', the groups, then data that the writes refer to by its place. A group: {{role,
-- epoch} or false, writes, positions, events, whether timeouts are apart}. A write: {run_id,
-- expected, version, write_id, status, run_state, at rest, finished, awaits, whether it asks for a
-- step, entry, place of its data or 0, {workflow, foreign_id, key or false, partition, origin} or
-- false, events, timeouts}. An event: {run_id, topic-partition, microseconds of delay, event}. A
-- timeout: {name, queue, microseconds of delay, or false, due time, timeout}.

local now, groups, DATA = now_of(ARGV[2]), cmsgpack.unpack(ARGV[3]), 3
local AWAITS_EVENT, PAUSED = '1', 3

-- --- the runs as the earlier writes of this call leave them --------------------------------------

local runs, known, changed = {}, {}, {}

-- The set of runs that await an event.
local function awaiting(run)
  return 'awaiting:' .. run.partition .. ':' .. run.workflow
end

local function run_of(run_id)
  local run = runs[run_id]
  if not run then
    local version, status, run_state, data_of, _, awaits, awaited = state_of(run_id)
    run = {id = run_id, version = version or '0', data_of = data_of, awaited = awaited or '0', made = {}}
    if version then
      run.stand = status .. ':' .. run_state
      run.before = run.stand
      run.partition, run.workflow, run.foreign_id = select(2, birth_of(run_id))
      run.was_awaiting = awaits == AWAITS_EVENT and tonumber(run_state) < PAUSED
      run.is_awaiting = run.was_awaiting
    end
    runs[run_id] = run
  end
  return run
end

-- A field of a hash; false where it has none.
local function get(at, name)
  local fields = within(known, at)
  if fields[name] == nil then
    fields[name] = redis.call('HGET', key(at), name)
  end
  return fields[name]
end

local function set(at, name, value)
  within(known, at)[name] = value
  within(changed, at)[name] = true
end

-- --- deciding ------------------------------------------------------------------------------------

local outgoing, names, timeouts, positions = {}, {}, {}, {}

local function pair(list, one, other)
  local size = #list
  list[size + 1], list[size + 2] = one, other
end

local function extend(list, values)
  for _, value in ipairs(values) do
    list[#list + 1] = value
  end
end

local function made(run, version, write_id)
  if run.made[version] then
    return run.made[version] == write_id
  end
  local entry = redis.call('HGET', key('run:' .. run.id), 'entry:' .. version)
  return entry and cjson.decode(entry:sub(DIGITS + 1)).write_id == write_id
end

local function create(run, workflow, foreign_id, name, partition, origin)
  run.workflow, run.foreign_id, run.partition, run.origin = workflow, foreign_id, partition, origin
  set('unfinished:' .. workflow, foreign_id, run.id)
  if name then
    set('keys:' .. workflow, name, run.id)
  end
end

local function stage(run, version, write_id, status, run_state, at_rest, finished, awaits, asks, entry, data)
  run.version, run.status, run.run_state, run.stand = version, status, run_state, status .. ':' .. run_state
  run.awaits, run.is_awaiting = awaits, awaits == AWAITS_EVENT and not at_rest
  run.awaited = asks and version or run.awaited
  run.made[version] = write_id
  run.fields = run.fields or {}
  pair(run.fields, 'entry:' .. version, now .. entry)
  if data > 0 then
    run.data_of = version
    pair(run.fields, 'data:' .. version, ARGV[DATA + data])
  end
  local unfinished = 'unfinished:' .. run.workflow
  if finished and get(unfinished, run.foreign_id) == run.id then
    set(unfinished, run.foreign_id, false)
  end
  names[#names + 1] = 'run:' .. run.id
  if at_rest then
    names[#names + 1] = 'rest:' .. run.id
  end
end

local function send(events)
  for _, event in ipairs(events) do
    local run_id, topic_partition, delay, body = unpack(event)
    outgoing[#outgoing + 1] = {run_id, topic_partition, delay > 0 and later(now, delay) or '', body}
  end
end

local function time(wanted, apart)
  for _, timeout in ipairs(wanted) do
    local name, queue, delay, due, body = unpack(timeout)
    due = delay and later(now, delay) or due
    if apart then
      outgoing[#outgoing + 1] = {'', TIMEOUTS, '', body, due}
    else
      timeouts[#timeouts + 1] = {queue, due, name}
    end
  end
end

-- The origin of a run: as it is stored, or as this call is going to store it.
local function origin_of(run_id)
  local run = runs[run_id]
  return run and run.origin or redis.call('HGET', key('run:' .. run_id), 'origin')
end

-- 's': stored, now or before; else 'c', 'k' or 'a' with what it met: a version, the origin of the
-- run that has the key, or the run that has the foreign id.
local function decide(write, apart)
  local run_id, expected, version, write_id, status, run_state, at_rest, finished, awaits, asks, entry, data, new, events, wanted = unpack(write)
  local run = run_of(run_id)
  if run.version ~= expected then
    return made(run, version, write_id) and 's' or 'c' .. run.version
  end
  if new then
    local workflow, foreign_id, name = unpack(new)
    local first, active = name and get('keys:' .. workflow, name), get('unfinished:' .. workflow, foreign_id)
    if first or active then
      return first and 'k' .. origin_of(first) or 'a' .. active
    end
    create(run, unpack(new))
  end
  stage(run, version, write_id, status, run_state, at_rest, finished, awaits, asks, entry, data)
  send(events)
  time(wanted, apart)
  return 's'
end

local function commit(fence, writes, written, events, apart)
  local current = fence and lost(unpack(fence))
  if current then
    return {'f', current}
  end
  local answers = {}
  for at, write in ipairs(writes) do
    answers[at] = decide(write, apart)
  end
  extend(positions, written)
  send(events)
  return answers
end

local answers = {}
for at, group in ipairs(groups) do
  answers[at] = commit(unpack(group))
end

-- --- writing: what goes to one key in one call ---------------------------------------------------

local joining, leaving, stands, created = {}, {}, {}, {}

for run_id, run in pairs(runs) do
  if run.fields then
    local state = {run.version, run.status, run.run_state, run.data_of, now, run.awaits, run.awaited}
    pair(run.fields, 'state', table.concat(state, ' '))
    if run.origin then
      pair(run.fields, 'birth', now .. ' ' .. run.partition .. ' ' .. run.workflow .. '\0' .. run.foreign_id)
      pair(run.fields, 'origin', run.origin)
      pair(within(joining, 'runs:' .. run.workflow), 0, run_id)
      extend(within(created, run.workflow), {run_id})
      pair(within(joining, 'foreign_ids:' .. run.workflow), 0, run.foreign_id .. '\0' .. run_id)
    end
    each('HSET', key('run:' .. run_id), run.fields)
    if run.is_awaiting and not run.was_awaiting then
      pair(within(joining, awaiting(run)), 0, run_id)
    elseif run.was_awaiting and not run.is_awaiting then
      extend(within(leaving, awaiting(run)), {run_id})
    end
  end
  if run.stand ~= run.before then
    within(stands, 'stands:' .. run.workflow)[run.stand] = true
    pair(within(joining, 'stand:' .. run.stand .. ':' .. run.workflow), 0, run_id)
    if run.before then
      extend(within(leaving, 'stand:' .. run.before .. ':' .. run.workflow), {run_id})
    end
  end
end
for at, members in pairs(joining) do
  each('ZADD', key(at), members)
end
for at, members in pairs(leaving) do
  each('ZREM', key(at), members)
end
for at, names in pairs(stands) do
  for name in pairs(names) do
    redis.call('SADD', key(at), name)
  end
end
for at, names in pairs(changed) do
  local put_in, taken_out = {}, {}
  for name in pairs(names) do
    local value = known[at][name]
    extend(value and put_in or taken_out, {name, value or nil})
  end
  each('HSET', key(at), put_in)
  each('HDEL', key(at), taken_out)
end
for workflow, run_ids in pairs(created) do
  note_skews(workflow, run_ids, now)
end
put_positions(positions)
extend(names, create_timeouts(timeouts))
add(outgoing)
if #outgoing > 0 then
  names[#names + 1] = 'outbox'
end
notify(names)
return answers
