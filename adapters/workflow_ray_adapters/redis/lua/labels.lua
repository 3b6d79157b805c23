-- Labels: the field `labels` of a run has them as JSON; `labelled:<name>`, NUL, the value, NUL and the
-- workflow, the runs that have the label, in order.

local function set_of(name, value, workflow)
  return 'labelled:' .. name .. '\0' .. value .. '\0' .. workflow
end

-- The sets of a run's labels, of which `labels` is the JSON, or false.
local function sets_of(labels, workflow)
  local sets = {}
  for name, value in pairs(labels and cjson.decode(labels) or {}) do
    sets[#sets + 1] = set_of(name, value, workflow)
  end
  return sets
end

-- Replaces the labels of a run in the sets. Of both, the JSON is given; '' or false: none.
local function relabel(run_id, workflow, earlier, labels)
  for _, set in ipairs(sets_of(earlier ~= '' and earlier, workflow)) do
    redis.call('ZREM', key(set), run_id)
  end
  for _, set in ipairs(sets_of(labels ~= '' and labels, workflow)) do
    redis.call('ZADD', key(set), 0, run_id)
  end
end
