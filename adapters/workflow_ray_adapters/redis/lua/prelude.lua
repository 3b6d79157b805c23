-- What every script begins with. KEYS[1] is the store's prefix, ARGV[1] its id. Numbers that may be
-- large travel as text: Lua's are exact up to 2^53 only. A script that fails is not undone, so all
-- of them decide everything before they write anything.

local function key(name)
  return KEYS[1] .. ':' .. name
end

-- A server that was emptied, or started without its data, would begin again at epoch 0.
if redis.call('HGET', key('store'), 'id') ~= ARGV[1] then
  return redis.error_reply('GONE the store is not there any more')
end

-- Whether the whole number `a`, as text, is greater than `b`.
local function above(a, b)
  return #a > #b or (#a == #b and a > b)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- A time is 18 digits: seconds since the year 1, and six digits of microseconds. So it sorts as
-- text, and either part is exact as a number.
local DIGITS, UNIX_EPOCH, MICROSECONDS = 18, 62135596800, 1000000

local function instant(seconds, microseconds)
  return string.format('%012.0f%06.0f', seconds, microseconds)
end

-- The time: by the server's clock, unless the caller brings a clock of its own.
local function now_of(given)
  if given ~= '' then
    return given
  end
  local time = redis.call('TIME')
  return instant(UNIX_EPOCH + time[1], time[2])
end

-- The time so many microseconds later, or earlier where that is negative.
local function later(at, microseconds)
  local sum = tonumber(at:sub(13)) + microseconds % MICROSECONDS
  local seconds = tonumber(at:sub(1, 12)) + math.floor(microseconds / MICROSECONDS) + math.floor(sum / MICROSECONDS)
  return instant(math.max(0, seconds), sum % MICROSECONDS)
end

-- Microseconds from one time to another, as text; '' without an other.
local function until_due(now, due)
  if due == '' then
    return ''
  end
  return whole((tonumber(due:sub(1, 12)) - tonumber(now:sub(1, 12))) * MICROSECONDS + tonumber(due:sub(13)) - tonumber(now:sub(13)))
end

-- A run is a hash, of few fields since each costs its time: `state` is what scripts ask for that
-- changes, `birth` what doesn't, `origin` the JSON of what was written once, `entry:<version>` the
-- time and the JSON of each version, and `data:<version>` the data of those that changed it. A run
-- that ever had a message, a result of once, a parent or a child that is cancelled with it, or whose
-- data has another version than 1, has `extra`: how many messages wait and how many of these its status
-- accepts; then 1 or 0: whether it has results, parents and such children; and the version of its data.
-- A run that has labels has them in `labels`; one that flow control orders has `parking`; one whose
-- history was trimmed has `first`, the version of the first entry that is left.

-- Version, status, run state, the version that has the data, the time of the last write, what the
-- run awaits, and the version that asked for it.
local function split_state(state)
  return state:match('^(%d+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
end

-- The same of a stored run. Nothing where the run does not exist.
local function state_of(run_id)
  local state = redis.call('HGET', key('run:' .. run_id), 'state')
  if state then
    return split_state(state)
  end
end

-- The time of the first write, partition, workflow and foreign id.
local function split_birth(birth)
  return birth:match('^(%d+) (%d+) (.-)%z(.*)$')
end

local function birth_of(run_id)
  return split_birth(redis.call('HGET', key('run:' .. run_id), 'birth'))
end

-- The version at which a run that is at `version` entered its status.
local function visit_at(run_id, version)
  local entry = redis.call('HGET', key('run:' .. run_id), 'entry:' .. version)
  return whole(cjson.decode(entry:sub(DIGITS + 1)).visit)
end

-- An entry of the history, as "time",entry.
local function entry_of(stored)
  return '"' .. stored:sub(1, DIGITS) .. '",' .. stored:sub(DIGITS + 1)
end

-- Where flow control orders a run, as JSON: [1 if it is parked, or 0, priority, key].
local function parking_of(parking)
  local parked, priority, flow_key = parking:match('^(%d) (%-?%d+) (.*)$')
  return '[' .. parked .. ',' .. priority .. ',' .. cjson.encode(flow_key) .. ']'
end

-- A record as JSON, [created at, origin, written at, last entry, awaits, awaited, extra or null], then
-- its parking and labels, or null, if it has one of them; and its data. Nothing where the run does not
-- exist.
local function record(run_id)
  local version, _, _, data_of, _, awaits, awaited = state_of(run_id)
  if version then
    local birth, origin, extra, entry, data, parking, labels = unpack(redis.call(
      'HMGET', key('run:' .. run_id), 'birth', 'origin', 'extra', 'entry:' .. version, 'data:' .. data_of, 'parking', 'labels'
    ))
    local rest = (parking or labels) and ',' .. (parking and parking_of(parking) or 'null') .. ',' .. (labels or 'null') or ''
    return table.concat({
      '["', birth:sub(1, DIGITS), '",', origin, ',', entry_of(entry), ',', awaits, ',', awaited, ',',
      extra and '[' .. extra:gsub(' ', ',') .. ']' or 'null', rest, ']',
    }), data
  end
end

-- The result of every read: its rows as one JSON array, then the data of the rows that have some,
-- unchanged.
local rows, parcels, size = {}, {}, 0

local function put(row, data)
  rows[#rows + 1] = row
  if data then
    parcels[#parcels + 1] = data
    size = size + #data
  end
end

local function answer(...)
  return {'[' .. table.concat(rows, ',') .. ']', parcels, ...}
end

-- Whether a list of numbers, as ',1,2,', has the number.
local function listed(list, number)
  return list:find(',' .. number .. ',', 1, true) ~= nil
end

-- The newest epoch of the role, if it is not the one given.
local function lost(role, epoch)
  local current = redis.call('HGET', key('fences'), role) or '0'
  return current ~= epoch and current
end

-- The last of a series of whole numbers. Later ones are new, even on a server that has lost its last
-- writes in a crash, because they follow its clock.
local function latest(name, field)
  local time = redis.call('TIME')
  return math.max(tonumber(redis.call('HGET', key(name), field) or '0'), time[1] * 1000000 + time[2])
end

-- Calls a command with many arguments, in portions: Lua's stack is bounded. Arguments may belong
-- together by twos.
local PORTION = 4000

local function each(command, at, arguments)
  for first = 1, #arguments, PORTION do
    redis.call(command, at, unpack(arguments, first, math.min(first + PORTION - 1, #arguments)))
  end
end

-- Returns the entry of a key in a table, and creates it where there is none.
local function within(all, at)
  local one = all[at]
  if not one then
    one = {}
    all[at] = one
  end
  return one
end

-- Notifies the callers that wait for one of these, once all of this is committed. Notifications are
-- numbered, so that each process can tell whether it has missed one. The channel has the store's
-- id, because channels are the same in all databases.
local function notify(names)
  if #names > 0 then
    local number = redis.call('HINCRBY', key('counters'), 'notifications', 1)
    redis.call('PUBLISH', key('notifications:' .. ARGV[1]), cmsgpack.pack({number, names}))
  end
end
