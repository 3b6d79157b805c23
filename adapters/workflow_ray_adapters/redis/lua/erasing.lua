-- What is cleared of the user's while ids, keys, causes and times stay. `posted:<run>` has the names of
-- all messages of a run, in the order in which they were posted.
local erase, erase_stored  -- the other names end with the block: a script may have 200

do
  -- An entry of the history without its reason and its error.
  local function erased(stored)
    local entry = cjson.decode(stored:sub(DIGITS + 1))
    entry.reason, entry.error = nil, nil
    return stored:sub(1, DIGITS) .. cjson.encode(entry)
  end

  -- Clears what earlier versions of a run hold, of those that this call has made, and notes those that
  -- are stored.
  local function erase_versions(run)
    for at = 1, #(run.fields or {}), 2 do
      local name = run.fields[at]
      if name:sub(1, 6) == 'entry:' then
        run.fields[at + 1] = erased(run.fields[at + 1])
      else
        run.fields[at + 1] = ''
      end
    end
    run.erases = run.stored_data_of ~= nil
  end

  -- Clears the versions of a run that are stored, up to the last one, and the data that it has.
  function erase_stored(run_id, last, data_of)
    local at, fields = key('run:' .. run_id), {'data:' .. data_of, ''}
    for version = tonumber(redis.call('HGET', at, 'first') or '1'), tonumber(last) do
      local entry, data = 'entry:' .. whole(version), 'data:' .. whole(version)
      local stored, has_data = unpack(redis.call('HMGET', at, entry, data))
      if stored then
        pair(fields, entry, erased(stored))
      end
      if has_data then
        pair(fields, data, '')
      end
    end
    each('HSET', at, fields)
  end

  -- Clears payloads and errors of all messages of a run.
  local function erase_messages(run)
    local posted = redis.call('ZRANGE', key('posted:' .. run.id), 0, -1)
    local now_posted = joining['posted:' .. run.id] or {}
    for at = 2, #now_posted, 2 do
      posted[#posted + 1] = now_posted[at]
    end
    for _, name in ipairs(posted) do
      local message = message_of(run.workflow, name)
      clear_error(message)
      message.changed = true
      set('payloads:' .. run.workflow, name, false)
    end
  end

  function erase(run)
    erase_versions(run)
    erase_messages(run)
    drop('results:' .. run.id)
    run.results = 0
  end
end
