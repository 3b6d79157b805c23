-- ARGV: now or '', limit, bytes of a page or '' for no payloads, whether only those that are
-- settled, whether the failed ones of the runs, whether only those that are due, how many keys,
-- workflow and name of each, then run ids. Returns rows [number, body, run id, statuses, kept at or
-- null, visit, posted at, expires at, due at, settled at, outcome, version, failure or null], in
-- the order in which they were posted; and in how many microseconds the next one expires.

local now, limit, batch = now_of(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local only_settled, failed, only_due = ARGV[5] == '1', ARGV[6] == '1', ARGV[7] == '1'
local KEYS_END, CHUNK = 8 + 2 * tonumber(ARGV[8]), 100
local takes_settled = failed or KEYS_END > 8
local found, seen, next_expiry = {}, {}, ''

-- A message that has expired is settled, whether or not a write has settled it.
local function expire(message)
  if has_expired(message, now) then
    message.outcome, message.settled_at, message.version = EXPIRED, message.expires_at, (state_of(message.run_id))
  elseif waits(message) and message.expires_at ~= '' and (next_expiry == '' or message.expires_at < next_expiry) then
    next_expiry = message.expires_at
  end
end

local function fits(message)
  if only_due and message.due_at > now then
    return false
  elseif waits(message) then
    return not only_settled
  end
  return takes_settled
end

-- Finds the messages of these names, and returns how many were found.
local function find(workflow, names)
  local before = #found
  for at, stored in ipairs(redis.call('HMGET', key('messages:' .. workflow), unpack(names))) do
    local message = stored and unpack_message(stored)
    if message and not seen[message.number] then
      seen[message.number] = true
      message.workflow, message.name = workflow, names[at]
      expire(message)
      if fits(message) then
        found[#found + 1] = message
      end
    end
  end
  return #found - before
end

-- The workflow of a run, also of one that was removed and whose messages are kept.
local function workflow_of(run_id)
  local birth = redis.call('HGET', key('run:' .. run_id), 'birth')
  return birth and select(3, split_birth(birth)) or redis.call('HGET', key('gone'), run_id):match('^(.-)%z')
end

-- Finds a run's first messages, as many as a page has.
local function find_of(run_id)
  local at, first, left, workflow = key((failed and 'failed:' or 'inbox:') .. run_id), 0, limit, nil
  while left > 0 do
    local names = redis.call('ZRANGE', at, first, first + CHUNK - 1)
    if #names == 0 then
      return
    end
    workflow = workflow or workflow_of(run_id)
    left, first = left - find(workflow, names), first + #names
  end
end

local names = {}
for at = 9, KEYS_END, 2 do
  local of_workflow = within(names, ARGV[at])
  of_workflow[#of_workflow + 1] = ARGV[at + 1]
end
for workflow, of_workflow in pairs(names) do
  for first = 1, #of_workflow, PORTION do
    find(workflow, {unpack(of_workflow, first, math.min(first + PORTION - 1, #of_workflow))})
  end
end
for at = KEYS_END + 1, #ARGV do
  find_of(ARGV[at])
end

local function text(value)
  return '"' .. value .. '"'
end

local function list(statuses)
  return '[' .. statuses:sub(2, -2) .. ']'
end

local function row(message)
  local kept_at = message.kept_at == '*' and 'null' or list(message.kept_at)
  return '[' .. table.concat({
    message.number, message.body, cjson.encode(message.run_id), list(message.statuses), kept_at, text(message.visit), text(message.posted_at),
    text(message.expires_at), text(message.due_at), text(message.settled_at), text(message.outcome), text(message.version),
    message.failure == '' and 'null' or message.failure,
  }, ',') .. ']'
end

table.sort(found, function(one, other) return tonumber(one.number) < tonumber(other.number) end)
for at = 1, math.min(#found, limit) do
  local message = found[at]
  put(row(message), batch and redis.call('HGET', key('payloads:' .. message.workflow), message.name) or '')
  if batch and size > batch then
    break
  end
end
return answer(until_due(now, next_expiry))
