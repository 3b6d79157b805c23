-- Flow control. The field `parking` of a run has where it stands: `<1 if it is parked, or 0> <priority>
-- <key>`. For each status, as `<status>:<workflow>`: `parking_keys:` has the keys that have runs, in
-- order; `parked:` with NUL and a key its parked runs, the largest priority first, then by id; `slots:`
-- the runs that hold a slot, and with NUL and a key those of the key. `parking_changes` counts the
-- changes of each status.
local place_of, put_places  -- the other names end with the block: a script may have 200

do
  -- Where flow control has a run now, as text; nil where it does not order it, or the run is at rest.
  function place_of(run)
    return run.parking and not run.at_rest and run.status .. ':' .. run.workflow .. '\0' .. run.parking or nil
  end

  -- Puts a run to its place, or takes it away. Returns the status, and the key.
  local function move(place, run_id, is_there)
    local at, parked, priority, flow_key = place:match('^(.-)%z(%d) (%-?%d+) (.*)$')
    local of_key = at .. '\0' .. flow_key
    if parked == '1' then
      if is_there then
        redis.call('ZADD', key('parked:' .. of_key), 0 - tonumber(priority), run_id)
      else
        redis.call('ZREM', key('parked:' .. of_key), run_id)
      end
    else
      local command = is_there and 'SADD' or 'SREM'
      redis.call(command, key('slots:' .. at), run_id)
      redis.call(command, key('slots:' .. of_key), run_id)
    end
    return at, flow_key
  end

  -- Puts runs, each {its earlier place or false, its place or false, run id}, where they stand now. Adds
  -- to the names to notify.
  function put_places(places, names)
    local touched = {}
    for _, moved in ipairs(places) do
      local earlier, place, run_id = unpack(moved)
      if earlier then
        local at, flow_key = move(earlier, run_id, false)
        within(touched, at)[flow_key] = true
      end
      if place then
        local at, flow_key = move(place, run_id, true)
        within(touched, at)[flow_key] = true
      end
    end
    for at, keys in pairs(touched) do
      for flow_key in pairs(keys) do
        local of_key = at .. '\0' .. flow_key
        if redis.call('EXISTS', key('parked:' .. of_key), key('slots:' .. of_key)) > 0 then
          redis.call('ZADD', key('parking_keys:' .. at), 0, flow_key)
        else
          redis.call('ZREM', key('parking_keys:' .. at), flow_key)
        end
      end
      redis.call('HSET', key('parking_changes'), at, whole(latest('parking_changes', at) + 1))
      names[#names + 1] = 'parking:' .. at
    end
  end
end
