-- ARGV: workflow, how many to look at, limit, bytes of a page, newest first or '', after or '',
-- foreign id's prefix or '', created from or '', created before or '', statuses and run states,
-- each as ',1,2,' or '', causes in the same way, written before or '', parent or '', the least
-- version of it that linked the run, whether only those that are cancelled with it, child or '', then
-- names and values of labels.
-- Returns rows, and after whom to go on; '' at the end.

local workflow, most, limit, batch = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local newest_first, after = ARGV[6] ~= '', ARGV[7]
local prefix, from, to, statuses, run_states = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local causes, written_before, parent, since, cascading, child = ARGV[13], ARGV[14], ARGV[15], ARGV[16], ARGV[17] == '1', ARGV[18]

local function allowed(list, number)
  return list == '' or listed(list, number)
end

local labelled = {}
for at = 19, #ARGV, 2 do
  labelled[#labelled + 1] = key(set_of(ARGV[at], ARGV[at + 1], workflow))
end

-- How many runs sets have, all together.
local function count(sets)
  local sum = 0
  for _, set in ipairs(sets) do
    sum = sum + redis.call('ZCARD', set)
  end
  return sum
end

-- The set of the label that the fewest runs have, if these are fewer than those of the sets.
local function fewest(sets)
  local least = count(sets)
  for _, set in ipairs(labelled) do
    local size = count({set})
    if size < least then
      least, sets = size, {set}
    end
  end
  return sets
end

local function sets()
  if parent ~= '' then
    return {key('children:' .. parent)}
  elseif child ~= '' then
    return {key('parents:' .. child)}
  elseif prefix ~= '' then
    return {key('foreign_ids:' .. workflow)}
  elseif statuses == '' and run_states == '' then
    return fewest({key('runs:' .. workflow)})
  end
  local found = {}
  for _, stand in ipairs(redis.call('SMEMBERS', key('stands:' .. workflow))) do
    local status, run_state = stand:match('^(.*):(.*)$')
    if allowed(statuses, status) and allowed(run_states, run_state) then
      found[#found + 1] = key('stand:' .. stand .. ':' .. workflow)
    end
  end
  return fewest(found)
end

local function has_labels(run_id)
  for _, set in ipairs(labelled) do
    if not redis.call('ZSCORE', set, run_id) then
      return false
    end
  end
  return true
end

local function last_write_fits(run_id, version)
  if causes == '' and written_before == '' then
    return true
  end
  local entry = redis.call('HGET', key('run:' .. run_id), 'entry:' .. version)
  local cause = cjson.decode(entry:sub(DIGITS + 1)).cause
  return allowed(causes, whole(cause)) and (written_before == '' or entry:sub(1, DIGITS) < written_before)
end

local function is_of_family(run_id)
  if parent ~= '' then
    local linked = redis.call('HGET', key((cascading and 'cascading:' or 'linked:') .. parent), run_id)
    if not linked or above(since, linked) then
      return false
    end
  end
  return child == '' or redis.call('ZSCORE', key('parents:' .. child), run_id) ~= false
end

-- Whether a member of a family is one of the workflow's, and has the foreign id.
local function is_of_workflow(run_id)
  local _, _, of_workflow, foreign_id = birth_of(run_id)
  return of_workflow == workflow and (prefix == '' or prefix == foreign_id .. '\0')
end

local function fits(run_id)
  local version, status, run_state = state_of(run_id)
  if not (allowed(statuses, status) and allowed(run_states, run_state) and has_labels(run_id) and last_write_fits(run_id, version)) then
    return false
  elseif (parent ~= '' or child ~= '') and not (is_of_family(run_id) and is_of_workflow(run_id)) then
    return false
  elseif from == '' and to == '' then
    return true
  end
  local created_at = birth_of(run_id)
  return created_at >= from and (to == '' or created_at < to)
end

local least_id, most_id = ids_between(workflow, from, to)
local in_members = (parent == '' and child == '') and prefix or ''
local low, high = range(in_members, least_id, most_id, after, newest_first)
local found, more = scan(sets(), in_members, low, high, newest_first, most)
for _, run_id in ipairs(found) do
  if fits(run_id) then
    put(record(run_id))
    if #rows >= limit or size > batch then
      return answer(run_id)
    end
  end
end
return answer(more and found[#found] or '')
