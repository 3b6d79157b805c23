-- Messages: `messages:<workflow>` has each by its name, `<kind>:<id>`, and `payloads:<workflow>` the
-- payloads that aren't empty. `inbox:<run>` has the names of those that wait, `failed:<run>` of those
-- that failed, in the order in which they were posted; `expiring:<workflow>` of those that wait and
-- expire, by the time, `<expires at><name>`.

local TAKEN, FAILED, PASSED, EXPIRED = '1', '2', '3', '4'
local CHILD, CHILDREN = '3', '4'  -- kinds

-- All of them are text, '' where there is none. Lists of statuses are ',1,2,'; `kept_at` may be '*',
-- every status. `body` and `failure` are JSON.
local FIELDS = {
  'number', 'run_id', 'statuses', 'kept_at', 'visit', 'posted_at', 'expires_at', 'due_at', 'settled_at', 'outcome', 'version', 'body',
  'failure',
}

local function unpack_message(stored)
  local message = {}
  for at, value in ipairs(cmsgpack.unpack(stored)) do
    message[FIELDS[at]] = value
  end
  return message
end

local function pack_message(message)
  local values = {}
  for at, field in ipairs(FIELDS) do
    values[at] = message[field]
  end
  return cmsgpack.pack(values)
end

-- Clears the error of the last failed attempt. How many there were stays.
local function clear_error(message)
  if message.failure ~= '' then
    message.failure = '{"attempt":' .. whole(cjson.decode(message.failure).attempt) .. '}'
  end
end

local function waits(message)
  return message.outcome == ''
end

local function has_expired(message, now)
  return waits(message) and message.expires_at ~= '' and message.expires_at <= now
end
