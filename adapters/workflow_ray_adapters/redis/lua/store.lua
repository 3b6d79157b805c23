-- ARGV: now, the groups, then data that the writes refer to by its place.
-- A group: {{role, epoch} or false, writes, positions, events}. A write: {run_id, expected, version, write_id, status, run_state,
-- at rest, finished, entry, place of its data or 0, {workflow, foreign_id, key or false, origin} or false, events}.

local now, groups, DATA = ARGV[2], cmsgpack.unpack(ARGV[3]), 3

-- --- what the writes meet, as those before them in this call leave it ---------------------------------------------------------------

local function remembered(look)
  local seen = {}
  return seen, function(...)
    local name = table.concat({...}, '\0')
    if seen[name] == nil then
      seen[name] = look(...)
    end
    return seen[name]
  end
end

local runs, run_of = remembered(function(run_id)
  local found = redis.call('HMGET', key('run', run_id), 'version', 'workflow', 'foreign_id', 'status', 'run_state')
  local version, workflow, foreign_id, status, run_state = unpack(found)
  local stand = version and status .. ':' .. run_state
  return {
    id = run_id, version = version or '0', workflow = workflow, foreign_id = foreign_id, before = stand, stand = stand,
    changes = {}, made = {}
  }
end)
-- A field of a hash, and what it is to become.
local function field(at, name)
  return {at = at, name = name, value = redis.call('HGET', at, name)}
end

local holders, holder_of = remembered(function(workflow, foreign_id) return field(key('unfinished', workflow), foreign_id) end)
local users, user_of = remembered(function(workflow, name) return field(key('keys', workflow), name) end)
local positions, position_of = remembered(function(group, partition) return field(key('positions', group), partition) end)

local function set(found, value)
  found.value, found.changed = value, true
end

-- --- deciding -----------------------------------------------------------------------------------------------------------------------

local outgoing, heard = {}, {}

local function made(run, version, write_id)
  if run.made[version] then
    return run.made[version] == write_id
  end
  local entry = redis.call('HGET', key('run', run.id), 'entry:' .. version)
  return entry and cjson.decode(entry).write_id == write_id
end

local function note(list, ...)
  for _, value in ipairs({...}) do
    list[#list + 1] = value
  end
end

local function land(run, version, write_id, status, run_state, at_rest, finished, entry, data)
  run.version, run.stand, run.made[version] = version, status .. ':' .. run_state, write_id
  note(run.changes, 'version', version, 'status', status, 'run_state', run_state, 'updated_at', now, 'entry:' .. version, entry)
  if data > 0 then
    note(run.changes, 'data_of', version, 'data:' .. version, ARGV[DATA + data])
  end
  if finished and holder_of(run.workflow, run.foreign_id).value == run.id then
    set(holder_of(run.workflow, run.foreign_id), false)
  end
  note(heard, 'run:' .. run.id)
  if at_rest then
    note(heard, 'rest:' .. run.id)
  end
end

local function create(run, workflow, foreign_id, name, origin)
  run.new, run.workflow, run.foreign_id = true, workflow, foreign_id
  note(run.changes, 'workflow', workflow, 'foreign_id', foreign_id, 'created_at', now, 'origin', origin)
  set(holder_of(workflow, foreign_id), run.id)
  if name then
    set(user_of(workflow, name), run.id)
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
    local first, active = name and user_of(workflow, name).value, holder_of(workflow, foreign_id).value
    if first or active then
      return first and 'k' .. first or 'a' .. active
    end
    create(run, unpack(new))
  end
  land(run, version, write_id, status, run_state, at_rest, finished, entry, data)
  note(outgoing, unpack(events))
  return 's'
end

local function commit(fence, writes, places, events)
  local current = fence and lost(unpack(fence))
  if current then
    return {'f', current}
  end
  local answers = {}
  for at, write in ipairs(writes) do
    answers[at] = enter(write)
  end
  for _, place in ipairs(places) do
    local group, partition, offset = unpack(place)
    local position = position_of(group, partition)
    if not position.value or above(offset, position.value) then
      set(position, offset)
    end
  end
  note(outgoing, unpack(events))
  return answers
end

local answers = {}
for at, group in ipairs(groups) do
  answers[at] = commit(unpack(group))
end

-- --- writing ------------------------------------------------------------------------------------------------------------------------

for run_id, run in pairs(runs) do
  each('HSET', key('run', run_id), run.changes, 2)
  if run.new then
    redis.call('ZADD', key('runs', run.workflow), 0, run_id)
    redis.call('ZADD', key('foreign_ids', run.workflow), 0, run.foreign_id .. '\0' .. run_id)
  end
  if run.stand ~= run.before then
    redis.call('SADD', key('stands', run.workflow), run.stand)
    redis.call('ZADD', key('stand', run.stand, run.workflow), 0, run_id)
    if run.before then
      redis.call('ZREM', key('stand', run.before, run.workflow), run_id)
    end
  end
end
for _, found in ipairs({holders, users, positions}) do
  for _, it in pairs(found) do
    if it.changed and it.value then
      redis.call('HSET', it.at, it.name, it.value)
    elseif it.changed then
      redis.call('HDEL', it.at, it.name)
    end
  end
end
add(outgoing)
if #outgoing > 0 then
  note(heard, 'outbox')
end
hint(heard)
return answers
