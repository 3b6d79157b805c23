-- What the earlier writes of this call have changed, and nothing has stored yet.

local now, groups, DATA = now_of(ARGV[2]), cmsgpack.unpack(ARGV[3]), 3
local AWAITS_EVENT, AWAITS_MESSAGE, AWAITS_PARKED = '1', '2', '3'
-- Run states. Those from PAUSED on are at rest, those from CANCELLED on are finished.
local PAUSED, CANCELLED, COMPLETED = '3', '4', '5'

local runs, known, changed, dropped = {}, {}, {}, {}
local outgoing, names, timeouts, positions = {}, {}, {}, {}
-- what joins and leaves sorted sets. Nothing joins a set that it has left.
local joining, leaving = {}, {}

local function pair(list, one, other)
  local size = #list
  list[size + 1], list[size + 2] = one, other
end

local function extend(list, values)
  for _, value in ipairs(values) do
    list[#list + 1] = value
  end
end

local function join(set, score, member)
  pair(within(joining, set), score, member)
end

local function leave(set, member)
  local members = within(leaving, set)
  members[#members + 1] = member
end

-- The set of runs that await an event.
local function awaiting(run)
  return 'awaiting:' .. run.partition .. ':' .. run.workflow
end

local function is_awaiting(run)
  return run.awaits == AWAITS_EVENT and not run.at_rest
end

local function run_of(run_id)
  local run = runs[run_id]
  if not run then
    local state, birth, extra, parking = unpack(redis.call('HMGET', key('run:' .. run_id), 'state', 'birth', 'extra', 'parking'))
    run = {
      id = run_id, version = '0', awaited = '0', made = {}, messages = 0, accepted = 0, results = 0, parents = 0, cascades = 0,
      data_version = '1', parking = parking, had_parking = parking, stored_version = '0',
    }
    if state then
      run.version, run.status, run.run_state, run.data_of, run.written_at, run.awaits, run.awaited = split_state(state)
      run.at_rest, run.finished = run.run_state >= PAUSED, run.run_state >= CANCELLED
      run.stand = run.status .. ':' .. run.run_state
      run.before = run.stand
      run.partition, run.workflow, run.foreign_id = select(2, split_birth(birth))
      run.was_awaiting = is_awaiting(run)
      run.stored_version, run.stored_data_of, run.place = run.version, run.data_of, place_of(run)
    end
    if extra then
      run.has_extra = true
      local data_version  -- '' in a run that format 3 has written
      run.messages, run.accepted, run.results, run.parents, run.cascades, data_version =
        extra:match('^(%d+) (%d+) (%d) (%d) (%d) ?(%d*)$')
      run.data_version = data_version ~= '' and data_version or '1'
      run.messages, run.accepted = tonumber(run.messages), tonumber(run.accepted)
      run.results, run.parents, run.cascades = tonumber(run.results), tonumber(run.parents), tonumber(run.cascades)
    end
    runs[run_id] = run
  end
  return run
end

local function exists(run)
  return run.version ~= '0'
end

local function is_parked(run)
  return run.parking and run.parking:sub(1, 1) == '1'
end

local function visit_of(run)
  run.visit = run.visit or visit_at(run.id, run.version)
  return run.visit
end

-- A field of a hash; false where it has none.
local function get(at, name)
  local fields = within(known, at)
  if fields[name] == nil then
    fields[name] = not dropped[at] and redis.call('HGET', key(at), name)
  end
  return fields[name]
end

local function set(at, name, value)
  within(known, at)[name] = value
  within(changed, at)[name] = true
end

-- Removes a hash.
local function drop(at)
  known[at], changed[at], dropped[at] = nil, nil, true
end
