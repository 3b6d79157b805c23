-- Entries that a group has set aside, by their names, which sort by partition, log, incarnation and
-- offset: `set_aside:<group>` has {set aside at, changed at, due or '', partition, event id, body},
-- `set_aside_events:<group>` the events. `set_aside_all:<group>` has their names in order,
-- `set_aside_dead:<group>` those of dead letters, `set_aside_due:<group>` `<due><name>` of the others.

-- Takes an entry out of the sets of its kind.
local function unlist(group, name, due)
  if due == '' then
    redis.call('ZREM', key('set_aside_dead:' .. group), name)
  else
    redis.call('ZREM', key('set_aside_due:' .. group), due .. name)
  end
end

local function take_back(group, name)
  redis.call('ZREM', key('set_aside_all:' .. group), name)
  redis.call('HDEL', key('set_aside:' .. group), name)
  redis.call('HDEL', key('set_aside_events:' .. group), name)
end

local function put_set_aside(group, name, stored, now, partition, event_id, delay, body, event)
  local set_aside_at, due = stored and stored[1] or now, delay and later(now, delay) or ''
  redis.call('HSET', key('set_aside:' .. group), name, cmsgpack.pack({set_aside_at, now, due, partition, event_id, body}))
  redis.call('HSET', key('set_aside_events:' .. group), name, event)
  redis.call('ZADD', key('set_aside_all:' .. group), 0, name)
  if due == '' then
    redis.call('ZADD', key('set_aside_dead:' .. group), 0, name)
  else
    redis.call('ZADD', key('set_aside_due:' .. group), 0, due .. name)
  end
end

-- Makes or replaces entries, each {group, name, partition, event id, microseconds of delay or false,
-- body, place of the event}, or takes them back, each {group, name}. `data` returns what is at a
-- place. Adds to the names to notify.
local function put_set_asides(entries, now, data, names)
  for _, entry in ipairs(entries) do
    local group, name, partition, event_id, delay, body, place = unpack(entry)
    local stored = redis.call('HGET', key('set_aside:' .. group), name)
    stored = stored and cmsgpack.unpack(stored)
    if stored then
      unlist(group, name, stored[3])
    end
    if place then
      put_set_aside(group, name, stored, now, partition, event_id, delay, body, data(place))
    elseif stored then
      take_back(group, name)
    end
    names[#names + 1] = 'set_aside:' .. group
  end
end
