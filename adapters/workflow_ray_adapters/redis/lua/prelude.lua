-- What every script begins with. KEYS[1] is the store's prefix, ARGV[1] its id. Numbers that may be large travel as text: Lua's are
-- exact up to 2^53 only. A script that fails is not undone, so all of them decide everything before they write anything.

local function key(name)
  return KEYS[1] .. ':' .. name
end

if redis.call('HGET', key('store'), 'id') ~= ARGV[1] then  -- emptied, or started without its data: to go on would begin at epoch 0
  return redis.error_reply('GONE the store is not there any more')
end

-- Whether the whole number `a`, as text, is greater than `b`.
local function above(a, b)
  return #a > #b or (#a == #b and a > b)
end

-- A run is a hash, of few fields since each costs its time: `state` is what scripts ask for that changes, `birth` what doesn't, `origin`
-- the JSON of what was written once, `entry:<version>` that of each version, and `data:<version>` the data of those that changed it.

-- Version, status, run state, the version that has the data, and the time of the last write. Nothing where there is no such run.
local function state_of(run_id)
  local state = redis.call('HGET', key('run:' .. run_id), 'state')
  if state then
    return state:match('^(%d+) (%S+) (%d+) (%d+) (%d+)$')
  end
end

-- The time of the first write, workflow and foreign id.
local function birth_of(run_id)
  return redis.call('HGET', key('run:' .. run_id), 'birth'):match('^(%d+) (.-)%z(.*)$')
end

-- A record as JSON, [origin, last entry], and its data. Nothing where there is no such run.
local function record(run_id)
  local version, _, _, data_of = state_of(run_id)
  if version then
    local found = redis.call('HMGET', key('run:' .. run_id), 'origin', 'entry:' .. version, 'data:' .. data_of)
    return '[' .. found[1] .. ',' .. found[2] .. ']', found[3]
  end
end

-- The answer of whatever reads: its rows as one JSON array, then the data of those that have some, as it is.
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

-- The newest epoch of the role, where it isn't the one given.
local function lost(role, epoch)
  local current = redis.call('HGET', key('fences'), role) or '0'
  return current ~= epoch and current
end

-- The last of a series of whole numbers, from which on they are new: even on a server that lost its last writes in a crash, since they
-- go with its clock.
local function latest(name, field)
  local time = redis.call('TIME')
  return math.max(tonumber(redis.call('HGET', key(name), field) or '0'), time[1] * 1000000 + time[2])
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Calls a command with many arguments, in portions: Lua's stack is bounded. Arguments may belong together by twos.
local PORTION = 4000

local function each(command, at, arguments)
  for first = 1, #arguments, PORTION do
    redis.call(command, at, unpack(arguments, first, math.min(first + PORTION - 1, #arguments)))
  end
end

-- Of a key's entry in a table, which is made where there is none.
local function within(all, at)
  local one = all[at]
  if not one then
    one = {}
    all[at] = one
  end
  return one
end

-- Wakes those who wait for one of these, once all of this is committed.
local function hint(names)
  if #names > 0 then
    redis.call('PUBLISH', key('hints:' .. ARGV[1]), cmsgpack.pack(names))  -- channels are the same in all databases
  end
end
