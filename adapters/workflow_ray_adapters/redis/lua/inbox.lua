-- What becomes of messages to runs. `sorted` decides as `sort_inbox` of workflow_ray.records does.

local MANY = 100
local messages, number = {}, nil  -- by workflow and name; the number of the last one posted

local function message_of(workflow, name)
  local of_workflow = within(messages, workflow)
  if of_workflow[name] == nil then
    local stored = redis.call('HGET', key('messages:' .. workflow), name)
    of_workflow[name] = stored and unpack_message(stored)
  end
  return of_workflow[name]
end

-- The names of a run's messages that waited when the call began, or were posted since.
local function inbox_of(run)
  if not run.inbox then
    run.inbox = redis.call('ZRANGE', key('inbox:' .. run.id), 0, -1)
    local of_workflow = within(messages, run.workflow)
    for first = 1, #run.inbox, PORTION do
      local portion = {unpack(run.inbox, first, math.min(first + PORTION - 1, #run.inbox))}
      for at, stored in ipairs(redis.call('HMGET', key('messages:' .. run.workflow), unpack(portion))) do
        if of_workflow[portion[at]] == nil then
          of_workflow[portion[at]] = stored and unpack_message(stored)
        end
      end
    end
    extend(run.inbox, run.posted or {})
  end
  return run.inbox
end

local function accepts(run, message)
  return not run.finished and listed(message.statuses, run.status) and (message.visit == '' or message.visit == visit_of(run))
end

-- 'accepted' or 'kept', or the outcome with which it is settled.
local function sorted(run, message)
  if has_expired(message, now) then
    return EXPIRED
  elseif run.finished or (message.visit ~= '' and message.visit ~= visit_of(run)) then
    return PASSED
  elseif listed(message.statuses, run.status) then
    return 'accepted'
  elseif message.kept_at == '*' or listed(message.kept_at, run.status) then
    return 'kept'
  end
  return PASSED
end

local function note(run, name, message)
  message.changed, run.touched = true, true
  names[#names + 1] = 'message:' .. run.workflow .. ':' .. name
  if not run.is_noted then
    run.is_noted = true
    names[#names + 1] = 'inbox:' .. run.id
  end
end

local function settle(run, name, message, outcome)
  run.accepted = run.accepted - (accepts(run, message) and 1 or 0)
  message.outcome, message.version, message.settled_at = outcome, run.version, outcome == EXPIRED and message.expires_at or now
  run.messages = run.messages - 1
  leave('inbox:' .. run.id, name)
  if message.expires_at ~= '' then
    leave('expiring:' .. run.workflow, message.expires_at .. name)
  end
  if outcome == FAILED then
    join('failed:' .. run.id, message.number, name)
  end
  note(run, name, message)
end

-- Sends an event that says that the run has a message.
local function send_message_event(run, due)
  local topic = run.workflow .. '-' .. run.status
  local body = '{"run_id":' .. cjson.encode(run.id) .. ',"topic":' .. cjson.encode(topic) .. ',"partition":' .. run.partition
    .. ',"version":0,"status":' .. run.status .. '}'
  outgoing[#outgoing + 1] = {run.id, run.partition .. ':' .. topic, due > now and due or '', body}
end

-- Makes a run look into its inbox once the first message that its status accepts is due.
local function wake(run, due)
  if not run.at_rest then
    run.awaits, run.touched = AWAITS_EVENT, true
    send_message_event(run, due)
  end
end

-- Posts a message whose name is new. `keep` is in microseconds; false: it is kept without limit.
-- Returns whether it was stored.
local function post(run, name, message, keep, payload)
  message.expires_at, message.due_at, message.settled_at, message.outcome, message.version, message.failure = '', '', '', '', '', ''
  local fate = sorted(run, message)
  if fate ~= 'accepted' and fate ~= 'kept' then
    return false
  end
  number = (number or latest('counters', 'messages')) + 1
  message.number, message.run_id, message.posted_at = whole(number), run.id, now
  within(messages, run.workflow)[name] = message
  if payload ~= '' then
    set('payloads:' .. run.workflow, name, payload)
  end
  run.messages = run.messages + 1
  join('inbox:' .. run.id, message.number, name)
  join('posted:' .. run.id, message.number, name)
  if fate == 'kept' and keep then
    message.expires_at = later(now, keep)
    join('expiring:' .. run.workflow, 0, message.expires_at .. name)
  end
  if run.inbox then
    run.inbox[#run.inbox + 1] = name
  else
    run.posted = run.posted or {}
    run.posted[#run.posted + 1] = name
  end
  note(run, name, message)
  if fate == 'accepted' then
    run.accepted = run.accepted + 1
  end
  return true
end

-- Posts a message, and wakes its run if its status accepts it. Returns whether it was stored.
local function post_and_wake(run, name, message, keep, payload)
  local accepted = run.accepted
  local is_stored = post(run, name, message, keep, payload)
  if run.accepted > accepted then
    wake(run, now)
  end
  return is_stored
end

-- The run of a foreign id that gets a message: the unfinished one, else the newest.
local function run_of_foreign_id(workflow, foreign_id)
  local active = get('unfinished:' .. workflow, foreign_id)
  if active then
    return active
  end
  local low, high = '[' .. foreign_id .. '\0', '(' .. foreign_id .. '\1'
  local stored = redis.call('ZREVRANGEBYLEX', key('foreign_ids:' .. workflow), high, low, 'LIMIT', 0, 1)[1]
  local newest = stored and stored:sub(#foreign_id + 2) or ''
  for run_id, run in pairs(runs) do
    if run.origin and run.workflow == workflow and run.foreign_id == foreign_id and run_id > newest then
      newest = run_id  -- this call has created it
    end
  end
  return newest ~= '' and newest
end

-- Posts a group's message. 'p': it is stored, with its run, and its body if an earlier call stored
-- it; else 'n' with where the run is, or 'x' if the run does not exist.
local function post_new(new)
  local name, workflow, run_id, foreign_id, statuses, kept_at, visit, keep, body, payload = unpack(new)
  local earlier = message_of(workflow, name)
  if earlier then
    return {'p', earlier.run_id, earlier.body}
  end
  run_id = run_id or run_of_foreign_id(workflow, foreign_id)
  local run = run_id and run_of(run_id)
  if not run or not exists(run) or run.workflow ~= workflow then
    return {'x'}
  end
  local message = {statuses = statuses, kept_at = kept_at, visit = visit, body = body}
  if post_and_wake(run, name, message, keep, payload > 0 and ARGV[DATA + payload] or '') then
    return {'p', run_id}
  end
  return {'n', run_id, run.status, run.run_state, run.version}
end

-- The message of a run if it waits and has not expired.
local function waiting_message(run, workflow, name)
  local message = run.workflow == workflow and message_of(workflow, name)
  return message and message.run_id == run.id and waits(message) and not has_expired(message, now) and message
end

-- Goes through a run's messages that wait and are accepted.
local function each_accepted(run, use)
  for _, name in ipairs(inbox_of(run)) do
    local message = message_of(run.workflow, name)
    if message and waits(message) and sorted(run, message) == 'accepted' then
      use(message)
    end
  end
end

-- When the first message that a run's status accepts is due.
local function first_due(run)
  local first
  each_accepted(run, function(message)
    local due = message.due_at == '' and now or message.due_at
    first = (not first or due < first) and due or first
  end)
  return first or now
end

-- Counts a failed attempt. `delay` is false where it was the last one.
local function fail(failed)
  local workflow, name, run_id, failure, delay = unpack(failed)
  local run = run_of(run_id)
  local message = waiting_message(run, workflow, name)
  if not message then
    return
  end
  local is_accepted = accepts(run, message)
  message.failure, message.due_at = failure, delay and later(now, delay) or ''
  note(run, name, message)
  if delay then
    if is_accepted and not run.at_rest then
      send_message_event(run, message.due_at)
    end
    return
  end
  settle(run, name, message, FAILED)
  if run.accepted > 0 then
    wake(run, first_due(run))
  elseif run.awaits == AWAITS_EVENT and (is_parked(run) or run.awaited == '0') then
    run.awaits = is_parked(run) and AWAITS_PARKED or AWAITS_MESSAGE
  end
end

-- Settles up to 500 messages of a workflow that have expired, and those that this call has posted.
local function expire(workflow)
  local members = redis.call('ZRANGEBYLEX', key('expiring:' .. workflow), '-', '[' .. now .. '\255', 'LIMIT', 0, 500)
  local posted = joining['expiring:' .. workflow] or {}
  for at = 2, #posted, 2 do
    members[#members + 1] = posted[at]
  end
  for _, member in ipairs(members) do
    local name = member:sub(DIGITS + 1)
    local message = message_of(workflow, name)
    if message and has_expired(message, now) then
      settle(run_of(message.run_id), name, message, EXPIRED)
    end
  end
end

-- Says what becomes of each message of a run that a write has changed. A write that keeps the status
-- changes little, so that it does not look through a large inbox.
local function sort_messages(run)
  if run.messages == 0 then
    run.accepted = 0
    return
  elseif run.messages > MANY and not run.has_moved then
    return
  end
  local accepted = 0
  for _, name in ipairs(inbox_of(run)) do
    local message = message_of(run.workflow, name)
    if message and waits(message) then
      local fate = sorted(run, message)
      if fate == 'accepted' then
        accepted = accepted + 1
        if message.expires_at ~= '' then
          leave('expiring:' .. run.workflow, message.expires_at .. name)
          message.expires_at, message.changed = '', true
        end
      elseif fate ~= 'kept' then
        settle(run, name, message, fate)
      end
    end
  end
  run.accepted = accepted
end

-- Whether the events of a write have one that wakes the run at once.
local function wakes_at_once(run, events)
  for _, event in ipairs(events) do
    if event[3] == 0 and event[2] == run.partition .. ':' .. run.workflow .. '-' .. run.status then
      return true
    end
  end
  return false
end

-- Wakes a run that a write has changed if its status accepts messages.
local function land(run, events)
  if run.accepted > 0 and not run.at_rest then
    if wakes_at_once(run, events) then
      run.awaits = AWAITS_EVENT
    else
      wake(run, (run.has_moved or run.messages <= MANY) and first_due(run) or now)
    end
  end
end

local function put_messages()
  for workflow, of_workflow in pairs(messages) do
    local stored = {}
    for name, message in pairs(of_workflow) do
      if message and message.changed then
        pair(stored, name, pack_message(message))
      end
    end
    each('HSET', key('messages:' .. workflow), stored)
  end
  if number then
    redis.call('HSET', key('counters'), 'messages', whole(number))
  end
end

-- Keeps a result of once. 'k' with the one that is kept, or 'v' with the run's visit.
local function keep_result(result)
  local run_id, visit, name, place = unpack(result)
  local run = run_of(run_id)
  if not exists(run) then
    return {'v', '0'}
  elseif run.finished or visit_of(run) ~= visit then
    return {'v', visit_of(run)}
  end
  local at, field = 'results:' .. run_id, visit .. ':' .. name
  if not get(at, field) then
    set(at, field, ARGV[DATA + place])
    run.results, run.touched = 1, true
  end
  return {'k', get(at, field)}
end
