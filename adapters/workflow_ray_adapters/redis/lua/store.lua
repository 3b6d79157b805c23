-- ARGV: now, the groups, then data that the writes refer to by its place.
-- A group: {{role, epoch} or false, writes, positions, events}. A write: {run_id, expected, version, write_id, status, run_state,
-- at rest, finished, entry, place of its data or 0, {workflow, foreign_id, key or false, origin} or false, events}.

local now, groups, DATA = ARGV[2], cmsgpack.unpack(ARGV[3]), 3

-- --- what the writes meet, as those before them in this call leave it ---------------------------------------------------------------

local runs, known, changed = {}, {}, {}

local function run_of(run_id)
  local run = runs[run_id]
  if not run then
    local version, status, run_state, data_of = state_of(run_id)
    run = {id = run_id, version = version or '0', data_of = data_of, made = {}}
    if version then
      run.stand = status .. ':' .. run_state
      run.before = run.stand
      run.workflow, run.foreign_id = select(2, birth_of(run_id))
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

-- --- deciding -----------------------------------------------------------------------------------------------------------------------

local outgoing, heard = {}, {}

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
  return entry and cjson.decode(entry).write_id == write_id
end

local function create(run, workflow, foreign_id, name, origin)
  run.workflow, run.foreign_id, run.origin = workflow, foreign_id, origin
  set('unfinished:' .. workflow, foreign_id, run.id)
  if name then
    set('keys:' .. workflow, name, run.id)
  end
end

local function land(run, version, write_id, status, run_state, at_rest, finished, entry, data)
  run.version, run.status, run.run_state, run.stand = version, status, run_state, status .. ':' .. run_state
  run.made[version] = write_id
  run.entries = run.entries or {}
  pair(run.entries, 'entry:' .. version, entry)
  if data > 0 then
    run.data_of = version
    pair(run.entries, 'data:' .. version, ARGV[DATA + data])
  end
  local unfinished = 'unfinished:' .. run.workflow
  if finished and get(unfinished, run.foreign_id) == run.id then
    set(unfinished, run.foreign_id, false)
  end
  heard[#heard + 1] = 'run:' .. run.id
  if at_rest then
    heard[#heard + 1] = 'rest:' .. run.id
  end
end

-- 's': stored, now or before; else 'c', 'k' or 'a' with what it met: a version, or the run that has the key or the foreign id.
local function enter(write)
  local run_id, expected, version, write_id, status, run_state, at_rest, finished, entry, data, new, events = unpack(write)
  local run = run_of(run_id)
  if run.version ~= expected then
    return made(run, version, write_id) and 's' or 'c' .. run.version
  end
  if new then
    local workflow, foreign_id, name = unpack(new)
    local first, active = name and get('keys:' .. workflow, name), get('unfinished:' .. workflow, foreign_id)
    if first or active then
      return first and 'k' .. first or 'a' .. active
    end
    create(run, unpack(new))
  end
  land(run, version, write_id, status, run_state, at_rest, finished, entry, data)
  extend(outgoing, events)
  return 's'
end

local function commit(fence, writes, positions, events)
  local current = fence and lost(unpack(fence))
  if current then
    return {'f', current}
  end
  local answers = {}
  for at, write in ipairs(writes) do
    answers[at] = enter(write)
  end
  for _, position in ipairs(positions) do
    local group, partition, offset = unpack(position)
    local reached = get('positions:' .. group, partition)
    if not reached or above(offset, reached) then
      set('positions:' .. group, partition, offset)
    end
  end
  extend(outgoing, events)
  return answers
end

local answers = {}
for at, group in ipairs(groups) do
  answers[at] = commit(unpack(group))
end

-- --- writing: what goes to one key in one call --------------------------------------------------------------------------------------

local joining, leaving, stands = {}, {}, {}

for run_id, run in pairs(runs) do
  if run.entries then
    pair(run.entries, 'state', run.version .. ' ' .. run.status .. ' ' .. run.run_state .. ' ' .. run.data_of .. ' ' .. now)
    if run.origin then
      pair(run.entries, 'birth', now .. ' ' .. run.workflow .. '\0' .. run.foreign_id)
      pair(run.entries, 'origin', run.origin)
      pair(within(joining, 'runs:' .. run.workflow), 0, run_id)
      pair(within(joining, 'foreign_ids:' .. run.workflow), 0, run.foreign_id .. '\0' .. run_id)
    end
    each('HSET', key('run:' .. run_id), run.entries)
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
add(outgoing)
if #outgoing > 0 then
  heard[#heard + 1] = 'outbox'
end
hint(heard)
return answers
