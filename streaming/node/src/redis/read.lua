-- ARGV: fresh epoch, ttl ms, epoch and offset of the position (or two empty ones), time us, age us.
local since, from, now, age = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local known = open(ARGV[1])
local epoch, newest = known[1], known[3]
live(ARGV[2], redis.call('XLEN', stream) > 0 or redis.call('EXISTS', state) == 1)
-- The records from `first` on that are not too old.
local function records(first)
  local found = {}
  for _, entry in ipairs(redis.call('XRANGE', stream, first, '+')) do
    local record = entry[2][2]
    if now - head(record) <= age then found[#found + 1] = record end
  end
  return found
end
if since == epoch and from == tonumber(newest) then return {epoch, newest, '1', {}, {}} end
if since == epoch and from < tonumber(newest) then
  local missed = records((from + 1) .. '-0')
  if #missed == tonumber(newest) - from then return {epoch, newest, '1', missed, {}} end
end
return {epoch, newest, '0', records('-'), redis.call('HVALS', state)}
