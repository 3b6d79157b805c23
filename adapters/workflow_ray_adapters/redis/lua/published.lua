-- ARGV: role, epoch, then ids of entries that were sent. Returns false and the newest epoch; or how
-- many were removed.

local current = lost(ARGV[2], ARGV[3])
if current then
  return {false, current}
end
local entries, seen = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  local entry = not seen[id] and redis.call('HGET', key('outbox'), id)
  if entry then
    local run_id, queue, due_at = unpack(cmsgpack.unpack(entry))
    entries[#entries + 1] = {queue, id, run_id, due_at}
    seen[id] = true
  end
end
remove(entries)
return {#entries}
