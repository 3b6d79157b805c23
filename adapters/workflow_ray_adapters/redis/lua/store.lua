-- ARGV: now or '', the groups, then data that the writes refer to by its place. A group: {{role,
-- epoch} or false, writes, positions, events, whether timeouts are apart, rest or false}. A write:
-- {run_id, expected, version, write_id, status, run_state, at rest, finished, visit, awaits, version
-- that asked for the step, entry, place of its data or 0, {workflow, foreign_id, key or false,
-- partition, origin} or false, events, timeouts, rest or false}. An event: {run_id, topic-partition,
-- microseconds of delay, event}. A timeout: {name, queue, microseconds of delay, or false, due time,
-- timeout}. A write's rest: {messages taken, each {workflow, name}, children, gatherings, by whom, the
-- field `parking` or false, the JSON of the labels, '' for none or false, the version of the data,
-- whether it erases}. A child: {write, statuses, gathered at, whether it is cancelled with its parent,
-- whether it joins}. A group's rest: {messages, failures, results, workflows, entries set aside or taken
-- back, removals, each {workflow, runs, histories, the run below which keys are removed, or false}}.

local RUN_ID, EXPECTED, VERSION, WRITE_ID, FINISHED, ENTRY, NEW, EVENTS, REST = 1, 2, 3, 4, 8, 12, 14, 15, 17
local WORKFLOW, FOREIGN_ID = 1, 2  -- of NEW
local PARKING, ERASES = 5, 8  -- of REST

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

local function stage(run, version, write_id, status, run_state, at_rest, finished, visit, awaits, awaited, entry, data)
  run.version, run.status, run.run_state, run.stand = version, status, run_state, status .. ':' .. run_state
  run.at_rest, run.finished, run.visit, run.awaits, run.awaited = at_rest, finished, visit, awaits, awaited
  run.made[version], run.written_at, run.touched = write_id, now, true
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

-- Stages what few writes have.
local function stage_rest(run, has_data, parking, labels, data_version)
  run.parking = parking
  if labels then
    run.labels = labels
  end
  if has_data then
    run.data_version = data_version
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

-- The unfinished run of a child's foreign id once its parent's write is made: false where it is free.
local function active_run_of(child, parent, new_parent, finishes)
  local workflow, foreign_id = unpack(child)
  local active = get('unfinished:' .. workflow, foreign_id)
  if active then
    return not (finishes and active == parent.id) and active
  end
  return new_parent and not finishes and new_parent[WORKFLOW] == workflow and new_parent[FOREIGN_ID] == foreign_id and parent.id
end

-- Why a write with these messages and children is left out; nil where it isn't.
local function refusal(run, new, finishes, takes, children)
  for at, taken in ipairs(takes) do
    if not waiting_message(run, unpack(taken)) then
      return 'g' .. at
    end
  end
  local foreign_ids = {}
  for _, child in ipairs(children) do
    local write, _, _, _, joins = unpack(child)
    local new_child = write[NEW]
    local foreign_id = new_child[WORKFLOW] .. '\0' .. new_child[FOREIGN_ID]
    local active = foreign_ids[foreign_id] or active_run_of(new_child, run, new, finishes)
    if active and (not joins or active == run.id) then
      return 'r' .. active .. '\0' .. new_child[FOREIGN_ID]
    end
    foreign_ids[foreign_id] = active or write[RUN_ID]
  end
end

-- Makes a write that nothing refuses. Returns whether it ends the run.
local function make(run, write, apart)
  local _, _, version, write_id, status, run_state, at_rest, finished, visit, awaits, awaited, entry, data, new, events, wanted = unpack(write)
  local ends, is_left = finished and not run.finished, false
  if new then
    create(run, unpack(new))
  elseif run.messages + run.results > 0 then
    is_left = finished or visit_of(run) ~= visit
    run.has_moved = is_left or run.status ~= status
  end
  if is_left and run.results > 0 then
    drop('results:' .. run.id)
    run.results = 0
  end
  local rest = write[REST]
  if rest and rest[ERASES] then
    erase(run)
  end
  stage(run, version, write_id, status, run_state, at_rest, finished, visit, awaits, awaited, entry, data)
  if rest then
    stage_rest(run, data > 0, unpack(rest, PARKING))
  else
    stage_rest(run, data > 0, false, false, '1')
  end
  send(events)
  time(wanted, apart)
  return ends
end

-- Settles the messages that a write takes.
local function take(run, takes)
  for _, taken in ipairs(takes) do
    local name, message = taken[2], waiting_message(run, unpack(taken))
    if message then
      settle(run, name, message, TAKEN)
      if name:sub(1, 2) == CHILDREN .. ':' then
        forget_gathered(run, message)
      end
    end
  end
end

-- Starts the children of a write, or joins them. Adds those that it starts to `started`.
local function start(parent, children, apart, started)
  for _, child in ipairs(children) do
    local write, statuses, gathered_at, cascades, joins = unpack(child)
    local new = write[NEW]
    local active = joins and get('unfinished:' .. new[WORKFLOW], new[FOREIGN_ID])
    local run = run_of(active or write[RUN_ID])
    if not active then
      pair(started, run, {write, make(run, write, apart)})
    end
    link(parent, run, statuses, gathered_at, cascades)
  end
end

-- Looks through the inbox of a run that a write has changed.
local function settle_inbox(run, write)
  sort_messages(run)
  if write[REST] then
    local _, _, gatherings, by = unpack(write[REST])
    gather(run, gatherings, by)
  end
  land(run, write[EVENTS])
end

-- 's': stored, now or before; else what it met: 'c' a version, 'k' the origin of the run that has the
-- key, 'a' the run that has the foreign id, 'g' the place of a message that does not wait, 'r' the run that has
-- the foreign id of a child, and that.
local function decide(write, apart)
  local new, rest = write[NEW], write[REST]
  local run = run_of(write[RUN_ID])
  if run.version ~= write[EXPECTED] then
    return made(run, write[VERSION], write[WRITE_ID]) and 's' or 'c' .. run.version
  end
  if new then
    local workflow, foreign_id, name = unpack(new)
    local first, active = name and get('keys:' .. workflow, name), get('unfinished:' .. workflow, foreign_id)
    if first then
      return 'k' .. (first:sub(1, 1) == '{' and first or origin_of(first))  -- itself, if the run was removed
    elseif active then
      return 'a' .. active
    end
  end
  local refused = rest and refusal(run, new, write[FINISHED], rest[1], rest[2])
  if refused then
    return refused
  end
  local made_now = {run, {write, make(run, write, apart)}}
  if rest then
    take(run, rest[1])
    start(run, rest[2], apart, made_now)
  end
  for at = 1, #made_now, 2 do
    settle_inbox(made_now[at], made_now[at + 1][1])
  end
  for at = 1, #made_now, 2 do
    local one, how = made_now[at], made_now[at + 1]
    if how[2] and one.parents > 0 then
      tell_parents(one, cjson.decode(how[1][ENTRY]).by)
    end
  end
  return 's'
end

local set_asides, removing = {}, {}

-- Does what few groups ask for. Returns the answers to messages, results and removals. The latter get
-- their numbers when they are carried out.
local function commit_rest(new_messages, failures, results, workflows, set_aside, removals)
  local posts, kept, removed = {}, {}, {}
  for at, new in ipairs(new_messages) do
    posts[at] = post_new(new)
  end
  for _, failed in ipairs(failures) do
    fail(failed)
  end
  for at, result in ipairs(results) do
    kept[at] = keep_result(result)
  end
  for _, workflow in ipairs(workflows) do
    expire(workflow)
  end
  extend(set_asides, set_aside)
  for at, removal in ipairs(removals) do
    removing[#removing + 1] = {removal, removed, at}
  end
  return posts, kept, removed
end

local function commit(fence, writes, written, events, apart, rest)
  local current = fence and lost(unpack(fence))
  if current then
    return {'f', current}
  end
  local answers, posts, kept, removed = {}, {}, {}, {}
  for at, write in ipairs(writes) do
    answers[at] = decide(write, apart)
  end
  extend(positions, written)
  if rest then
    posts, kept, removed = commit_rest(unpack(rest))
  end
  send(events)
  return {answers, posts, kept, removed}
end

local answers = {}
for at, group in ipairs(groups) do
  answers[at] = commit(unpack(group))
end

-- --- writing: what goes to one key in one call ---------------------------------------------------

-- Sets a field of a run, or removes it if the value is false.
local function put_field(run_id, fields, name, value)
  if value then
    pair(fields, name, value)
  else
    redis.call('HDEL', key('run:' .. run_id), name)
  end
end

local stands, created, places = {}, {}, {}

for run_id, run in pairs(runs) do
  if run.erases then
    erase_stored(run_id, run.stored_version, run.stored_data_of)
  end
  if run.touched then
    local fields, state = run.fields or {}, {run.version, run.status, run.run_state, run.data_of, run.written_at, run.awaits, run.awaited}
    pair(fields, 'state', table.concat(state, ' '))
    if run.messages + run.results + run.parents + run.cascades > 0 or run.has_extra or run.data_version ~= '1' then
      pair(fields, 'extra', table.concat({run.messages, run.accepted, run.results, run.parents, run.cascades, run.data_version}, ' '))
    end
    if run.labels then
      relabel(run_id, run.workflow, not run.origin and redis.call('HGET', key('run:' .. run_id), 'labels'), run.labels)
      put_field(run_id, fields, 'labels', run.labels ~= '' and run.labels)
    end
    if run.parking ~= run.had_parking then
      put_field(run_id, fields, 'parking', run.parking)
    end
    local place = place_of(run)
    if place ~= run.place then
      places[#places + 1] = {run.place or false, place or false, run_id}
    end
    if run.origin then
      pair(fields, 'birth', now .. ' ' .. run.partition .. ' ' .. run.workflow .. '\0' .. run.foreign_id)
      pair(fields, 'origin', run.origin)
      join('runs:' .. run.workflow, 0, run_id)
      extend(within(created, run.workflow), {run_id})
      join('foreign_ids:' .. run.workflow, 0, run.foreign_id .. '\0' .. run_id)
    end
    each('HSET', key('run:' .. run_id), fields)
    if is_awaiting(run) and not run.was_awaiting then
      join(awaiting(run), 0, run_id)
    elseif run.was_awaiting and not is_awaiting(run) then
      leave(awaiting(run), run_id)
    end
  end
  if run.stand ~= run.before then
    within(stands, 'stands:' .. run.workflow)[run.stand] = true
    join('stand:' .. run.stand .. ':' .. run.workflow, 0, run_id)
    if run.before then
      leave('stand:' .. run.before .. ':' .. run.workflow, run_id)
    end
  end
end
for at in pairs(dropped) do
  redis.call('DEL', key(at))
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
put_messages()
put_set_asides(set_asides, now, function(place) return ARGV[DATA + place] end, names)
put_places(places, names)
put_positions(positions)
extend(names, create_timeouts(timeouts))
add(outgoing)
if #outgoing > 0 then
  names[#names + 1] = 'outbox'
end
for _, one in ipairs(removing) do
  local removal, removed, at = unpack(one)
  removed[at] = remove(unpack(removal))
end
notify(names)
return answers
