-- What every script begins with. KEYS[1] is the store's prefix, ARGV[1] its id. Numbers that may be large travel as text: Lua's are
-- exact up to 2^53 only. A script that fails is not undone, so all of them decide everything before they write anything.

local function key(...)
  return KEYS[1] .. ':' .. table.concat({...}, ':')
end

if redis.call('HGET', key('store'), 'id') ~= ARGV[1] then  -- emptied, or started without its data: to go on would begin at epoch 0
  return redis.error_reply('GONE the store is not there any more')
end

-- Whether the whole number `a`, as text, is greater than `b`.
local function above(a, b)
  return #a > #b or (#a == #b and a > b)
end

-- A record as JSON, [origin, last entry], and its data. Nothing where there is no such run.
local function record(run_id)
  local run = redis.call('HMGET', key('run', run_id), 'version', 'data_of', 'origin')
  if not run[1] then
    return nil
  end
  local last = redis.call('HMGET', key('run', run_id), 'entry:' .. run[1], 'data:' .. run[2])
  return '[' .. run[3] .. ',' .. last[1] .. ']', last[2]
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

-- Calls a command with many arguments, in portions: Lua's stack is bounded. `width` arguments belong together.
local PORTION = 1000

local function each(command, at, arguments, width)
  for first = 1, #arguments, PORTION * width do
    redis.call(command, at, unpack(arguments, first, math.min(first + PORTION * width - 1, #arguments)))
  end
end

-- Wakes those who wait for one of these, once all of this is committed.
local function hint(names)
  if #names > 0 then
    redis.call('PUBLISH', key('hints'), cmsgpack.pack(names))
  end
end
