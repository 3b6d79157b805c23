-- Children: `links:<child>` has what each link asks for by `<parent>:<version>`, of the parent that
-- made it. `children:<parent>` and `parents:<child>` have the runs in order; `linked:<parent>` the last
-- version that linked each child, `cascading:<parent>` that of those that are cancelled with it.
-- `gathered:<parent>` counts, by workflow, the children that are awaited together: how many are open,
-- the version that started the first, how many were started, were completed and were cancelled.

-- The JSON of an object of numbers, without those that are 0 and not the first.
local function numbers_of(...)
  local fields, found = {...}, {}
  for at = 1, #fields, 2 do
    if at == 1 or fields[at + 1] ~= 0 then
      found[#found + 1] = '"' .. fields[at] .. '":' .. fields[at + 1]
    end
  end
  return '{' .. table.concat(found, ',') .. '}'
end

local function message_to(parent, kind, id, name, statuses, kept_at, by)
  local body = '{"kind":' .. kind .. ',"id":' .. cjson.encode(id) .. ',"workflow":' .. cjson.encode(parent.workflow)
    .. ',"name":' .. cjson.encode(name) .. ',"by":' .. cjson.encode(by) .. '}'
  return kind .. ':' .. id, {statuses = statuses, kept_at = kept_at, visit = '', body = body}
end

local function gathered(parent, workflow)
  local stored = get('gathered:' .. parent.id, workflow)
  local open, since, started, completed, cancelled = (stored or '0 0 0 0 0'):match('^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    open = tonumber(open), since = since, started = tonumber(started), completed = tonumber(completed), cancelled = tonumber(cancelled),
  }
end

local function put_gathered(parent, workflow, count)
  local fields = {count.open, count.since, count.started, count.completed, count.cancelled}
  set('gathered:' .. parent.id, workflow, table.concat(fields, ' '))
end

-- Goes through the messages that wait which say that the last of these children has ended.
local function each_last_end(parent, workflow, use)
  for _, name in ipairs(parent.messages > 0 and inbox_of(parent) or {}) do
    local message = name:sub(1, 2) == CHILDREN .. ':' and message_of(parent.workflow, name)
    if message and waits(message) and cjson.decode(message.body).name == workflow then
      use(name, message)
    end
  end
end

-- Says that the last of these children has ended.
local function last_end(parent, workflow, statuses, by)
  local count = gathered(parent, workflow)
  local name, message = message_to(parent, CHILDREN, parent.id .. ':' .. workflow .. ':' .. parent.version, workflow, statuses, '', by)
  local payload =
    numbers_of('since', count.since, 'started', count.started, 'completed', count.completed, 'cancelled', count.cancelled)
  return name, message, payload
end

-- Links a child to the version of the parent that this call makes. One that is linked to it already
-- stays as it is.
local function link(parent, child, statuses, gathered_at, cascades)
  local links, field = 'links:' .. child.id, parent.id .. ':' .. parent.version
  if get(links, field) then
    return
  end
  set(links, field, cmsgpack.pack({statuses, gathered_at}))
  within(child, 'links')[field] = true
  child.parents, child.touched = 1, true
  join('children:' .. parent.id, 0, child.id)
  join('parents:' .. child.id, 0, parent.id)
  set('linked:' .. parent.id, child.id, parent.version)
  if cascades then
    parent.cascades = 1
    set('cascading:' .. parent.id, child.id, parent.version)
  end
  if gathered_at ~= '' then
    local count = gathered(parent, child.workflow)
    count.since = count.started == 0 and parent.version or count.since
    count.open, count.started = count.open + 1, count.started + 1
    put_gathered(parent, child.workflow, count)
    local told = within(parent, 'told_at')
    if told[child.workflow] ~= parent.version then  -- the first child of the workflow that this write starts
      told[child.workflow] = parent.version
      each_last_end(parent, child.workflow, function(name, message) settle(parent, name, message, PASSED) end)
    end
  end
end

-- All links of a child, also those that this call makes, each {parent, version, what it asks for}, by
-- version.
local function links_of(child)
  local packed, found = {}, {}
  local stored = redis.call('HGETALL', key('links:' .. child.id))
  for at = 1, #stored, 2 do
    packed[stored[at]] = stored[at + 1]
  end
  for field in pairs(child.links or {}) do
    packed[field] = get('links:' .. child.id, field)
  end
  for field, link in pairs(packed) do
    local parent_id, since = field:match('^(.*):(%d+)$')
    found[#found + 1] = {parent_id, since, cmsgpack.unpack(link)}
  end
  table.sort(found, function(one, other) return above(other[2], one[2]) end)
  return found
end

-- Tells the parents of a run that it has ended.
local function tell_parents(child, by)
  local payload = '{"run_id":' .. cjson.encode(child.id) .. ',"status":' .. child.status .. ',"run_state":' .. child.run_state .. '}'
  for _, link in ipairs(links_of(child)) do
    local parent_id, since = unpack(link)
    local parent, statuses, gathered_at = run_of(parent_id), unpack(link[3])
    if statuses ~= '' then
      local id = parent_id .. ':' .. child.id .. ':' .. since
      local name, message = message_to(parent, CHILD, id, child.workflow, statuses, '*', by)
      post_and_wake(parent, name, message, false, payload)
    end
    if gathered_at ~= '' then
      local count = gathered(parent, child.workflow)
      count.open = count.open - 1
      count.completed = count.completed + (child.run_state == COMPLETED and 1 or 0)
      count.cancelled = count.cancelled + (child.run_state == CANCELLED and 1 or 0)
      put_gathered(parent, child.workflow, count)
      if count.open == 0 and listed(gathered_at, parent.status) then
        local name, message, counts = last_end(parent, child.workflow, gathered_at, by)
        if not message_of(parent.workflow, name) then
          post_and_wake(parent, name, message, false, counts)
        end
      end
    end
  end
end

-- Tells a run that enters a status which gathers children, while none is open.
local function gather(run, gatherings, by)
  for _, gathering in ipairs(gatherings) do
    local workflow, statuses = unpack(gathering)
    local is_told = gathered(run, workflow).open > 0
    each_last_end(run, workflow, function() is_told = true end)
    if not is_told then
      local name, message, counts = last_end(run, workflow, statuses, by)
      post(run, name, message, false, counts)
    end
  end
end

-- Begins a new count once the message of the last end is taken.
local function forget_gathered(parent, message)
  set('gathered:' .. parent.id, cjson.decode(message.body).name, false)
end
