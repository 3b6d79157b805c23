-- Removals: they are carried out once all else of the call is written. `gone:<workflow>` has the removed
-- runs whose idempotency key or messages are kept, in order, and `gone` for each the workflow, NUL and
-- the key, or ''.
local remove  -- the other names end with the block: a script may have 200

do
  local MOST = 500  -- idempotency keys, and messages, that one removal removes
  local DELETION_REQUESTED = '6'  -- a run state

  -- Clears payloads and errors of the messages of a run. Returns how many messages it has.
  local function clear_messages(run_id, workflow)
    local posted, stored = redis.call('ZRANGE', key('posted:' .. run_id), 0, -1), {}
    each('HDEL', key('payloads:' .. workflow), posted)
    for _, name in ipairs(posted) do
      local message = unpack_message(redis.call('HGET', key('messages:' .. workflow), name))
      if message.failure ~= '' then
        clear_error(message)
        pair(stored, name, pack_message(message))
      end
    end
    each('HSET', key('messages:' .. workflow), stored)
    return #posted
  end

  -- Removes the links of a run, as a parent and as a child.
  local function unlink(run_id)
    for _, child in ipairs(redis.call('ZRANGE', key('children:' .. run_id), 0, -1)) do
      for _, field in ipairs(redis.call('HKEYS', key('links:' .. child))) do
        if field:match('^(.*):%d+$') == run_id then
          redis.call('HDEL', key('links:' .. child), field)
        end
      end
      redis.call('ZREM', key('parents:' .. child), run_id)
    end
    for _, parent in ipairs(redis.call('ZRANGE', key('parents:' .. run_id), 0, -1)) do
      redis.call('ZREM', key('children:' .. parent), run_id)
      redis.call('HDEL', key('linked:' .. parent), run_id)
      redis.call('HDEL', key('cascading:' .. parent), run_id)
    end
    for _, name in ipairs({'children', 'parents', 'links', 'linked', 'cascading', 'gathered'}) do
      redis.call('DEL', key(name .. ':' .. run_id))
    end
  end

  -- Removes the timeouts of a run that are open. `trim_timeouts` forgets the others.
  local function remove_timeouts(run_id)
    for _, name in ipairs(redis.call('SMEMBERS', key('timeouts_of:' .. run_id))) do
      local place = redis.call('HGET', key('timeouts'), name)
      if place and place ~= '' then
        redis.call('ZREM', key('due:' .. place:sub(DIGITS + 1)), place:sub(1, DIGITS) .. name)
        redis.call('HDEL', key('timeouts'), name)
      end
    end
    redis.call('DEL', key('timeouts_of:' .. run_id))
  end

  -- Removes a finished run. Its idempotency key then has the origin of the run, because it holds the
  -- digest.
  local function remove_run(run_id, workflow, state, birth, origin, labels)
    local _, status, run_state = split_state(state)
    local _, partition, _, foreign_id = split_birth(birth)
    redis.call('DEL', key('run:' .. run_id), key('results:' .. run_id), key('inbox:' .. run_id))
    redis.call('ZREM', key('runs:' .. workflow), run_id)
    redis.call('ZREM', key('foreign_ids:' .. workflow), foreign_id .. '\0' .. run_id)
    redis.call('ZREM', key('stand:' .. status .. ':' .. run_state .. ':' .. workflow), run_id)
    redis.call('ZREM', key('awaiting:' .. partition .. ':' .. workflow), run_id)
    for _, set in ipairs(sets_of(labels, workflow)) do
      redis.call('ZREM', key(set), run_id)
    end
    unlink(run_id)
    remove_timeouts(run_id)
    local idempotency_key = cjson.decode(origin).idempotency_key
    if idempotency_key then
      redis.call('HSET', key('keys:' .. workflow), idempotency_key, origin)
    end
    if clear_messages(run_id, workflow) > 0 or idempotency_key then
      redis.call('ZADD', key('gone:' .. workflow), 0, run_id)
      redis.call('HSET', key('gone'), run_id, workflow .. '\0' .. (idempotency_key or ''))
    end
  end

  -- Removes all entries of a run but the newest. Returns how many histories that was.
  local function trim_history(run_id, state)
    local at = key('run:' .. run_id)
    local version, _, _, data_of = split_state(state)
    local first, fields = tonumber(redis.call('HGET', at, 'first') or '1'), {}
    if first >= tonumber(version) then
      return 0
    end
    for earlier = first, tonumber(version) - 1 do
      fields[#fields + 1] = 'entry:' .. whole(earlier)
      if whole(earlier) ~= data_of then
        fields[#fields + 1] = 'data:' .. whole(earlier)
      end
    end
    each('HDEL', at, fields)
    redis.call('HSET', at, 'first', version)
    return 1
  end

  -- Removes up to so many messages of a run, and returns how many.
  local function remove_messages(run_id, workflow, most)
    local names = most > 0 and redis.call('ZRANGE', key('posted:' .. run_id), 0, most - 1) or {}
    each('HDEL', key('messages:' .. workflow), names)
    each('ZREM', key('posted:' .. run_id), names)
    each('ZREM', key('failed:' .. run_id), names)
    return #names
  end

  -- Removes the idempotency key of a removed run and its messages, at most so many of each. Returns how
  -- many of each.
  local function remove_keys_of(run_id, workflow, most_keys, most_messages)
    local idempotency_key, keys = redis.call('HGET', key('gone'), run_id):sub(#workflow + 2), 0
    if idempotency_key ~= '' and most_keys > 0 then
      redis.call('HDEL', key('keys:' .. workflow), idempotency_key)
      redis.call('HSET', key('gone'), run_id, workflow .. '\0')
      idempotency_key, keys = '', 1
    end
    local messages = remove_messages(run_id, workflow, most_messages)
    if idempotency_key == '' and redis.call('EXISTS', key('posted:' .. run_id)) == 0 then
      redis.call('ZREM', key('gone:' .. workflow), run_id)
      redis.call('HDEL', key('gone'), run_id)
    end
    return keys, messages
  end

  -- Removes idempotency keys and messages of removed runs, and returns how many.
  local function remove_keys(workflow, below)
    local keys, messages = 0, 0
    -- each of them has a key or a message
    for _, run_id in ipairs(redis.call('ZRANGEBYLEX', key('gone:' .. workflow), '-', '(' .. below, 'LIMIT', 0, 2 * MOST)) do
      if redis.call('EXISTS', key('run:' .. run_id)) == 1 then  -- a late repetition of its trigger has made it again
        redis.call('ZREM', key('gone:' .. workflow), run_id)
      else
        local removed_keys, removed_messages = remove_keys_of(run_id, workflow, MOST - keys, MOST - messages)
        keys, messages = keys + removed_keys, messages + removed_messages
      end
    end
    return keys + messages
  end

  -- Removes what is asked for, and returns how many runs, histories and keys that was.
  function remove(workflow, run_ids, histories, below)
    local removed = 0
    local function each_finished(ids, use)
      for _, run_id in ipairs(ids) do
        local state, birth, origin, labels = unpack(redis.call('HMGET', key('run:' .. run_id), 'state', 'birth', 'origin', 'labels'))
        if state and select(3, split_birth(birth)) == workflow and select(3, split_state(state)) >= CANCELLED then
          removed = removed + use(run_id, state, birth, origin, labels)
        end
      end
    end
    each_finished(run_ids, function(run_id, state, ...)
      if select(3, split_state(state)) == DELETION_REQUESTED then  -- its data is still needed for that
        return 0
      end
      remove_run(run_id, workflow, state, ...)
      return 1
    end)
    each_finished(histories, trim_history)
    return below and removed + remove_keys(workflow, below) or removed
  end
end
