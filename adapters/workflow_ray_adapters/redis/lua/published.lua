-- ARGV: role, epoch, then ids of entries that were sent. Answers false and the newest epoch; or how many were removed.

local current = lost(ARGV[2], ARGV[3])
if current then
  return {false, current}
end
local entries, seen = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  local event = not seen[id] and redis.call('HGET', key('outbox'), id)
  if event then
    local run_id, lane = unpack(cmsgpack.unpack(event))
    entries[#entries + 1] = {lane, id, run_id}
    seen[id] = true
  end
end
remove(entries)
return {#entries}
