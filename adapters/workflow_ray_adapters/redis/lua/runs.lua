-- ARGV: workflow, how many to look at, limit, bytes of a page, newest first or '', after or '',
-- foreign id's prefix or '', created from or '', created before or '', statuses and run states,
-- each as ',1,2,' or '', causes in the same way, written before or ''. Returns rows, and after whom to go on; '' at the end.

local workflow, most, limit, batch = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local newest_first, after = ARGV[6] ~= '', ARGV[7]
local prefix, from, to, statuses, run_states = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local causes, written_before = ARGV[13], ARGV[14]

local function listed(list, number)
  return list == '' or list:find(',' .. number .. ',', 1, true)
end

local function sets()
  if prefix ~= '' then
    return {key('foreign_ids:' .. workflow)}
  elseif statuses == '' and run_states == '' then
    return {key('runs:' .. workflow)}
  end
  local found = {}
  for _, stand in ipairs(redis.call('SMEMBERS', key('stands:' .. workflow))) do
    local status, run_state = stand:match('^(.*):(.*)$')
    if listed(statuses, status) and listed(run_states, run_state) then
      found[#found + 1] = key('stand:' .. stand .. ':' .. workflow)
    end
  end
  return found
end

local function last_write_fits(run_id, version)
  if causes == '' and written_before == '' then
    return true
  end
  local entry = redis.call('HGET', key('run:' .. run_id), 'entry:' .. version)
  local cause = cjson.decode(entry:sub(DIGITS + 1)).cause
  return listed(causes, whole(cause)) and (written_before == '' or entry:sub(1, DIGITS) < written_before)
end

local function fits(run_id)
  local version, status, run_state = state_of(run_id)
  if not (listed(statuses, status) and listed(run_states, run_state) and last_write_fits(run_id, version)) then
    return false
  elseif from == '' and to == '' then
    return true
  end
  local created_at = birth_of(run_id)
  return created_at >= from and (to == '' or created_at < to)
end

local least_id, most_id = ids_between(workflow, from, to)
local low, high = range(prefix, least_id, most_id, after, newest_first)
local found, more = scan(sets(), prefix, low, high, newest_first, most)
for _, run_id in ipairs(found) do
  if fits(run_id) then
    put(record(run_id))
    if #rows >= limit or size > batch then
      return answer(run_id)
    end
  end
end
return answer(more and found[#found] or '')
