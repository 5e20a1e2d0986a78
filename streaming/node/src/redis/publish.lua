-- ARGV: channel, fresh epoch, ttl ms, flags, time us, entry with + or - in front, payload, key, fingerprint, kind,
-- messages max, bytes max, age us, keys max, entries max, bytes of entries max.
local channel, ttl, flags, now, change, payload = ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]
local key, mark, kind = ARGV[8], ARGV[9], ARGV[10]
local known = open(ARGV[2])
local epoch = known[1]
if key ~= '' then
  local used = redis.call('HGET', meta, 'k:' .. key)
  if used then
    local offset, body = string.match(used, '^(%d+):(%d+)$')
    if body ~= mark then return {'reused'} end
    return {'duplicate', epoch, offset, redis.call('HGET', server, 'q') or '0'}
  end
end
local sign, name = string.sub(change, 1, 1), string.sub(change, 2)
local held = tonumber(known[6] or '0')
if kind == 'state' and sign ~= '' then
  local old = redis.call('HGET', state, name)
  if old then
    local _, bytes = head(old)
    held = held - bytes
  end
  if sign == '+' then
    held = held + #payload
    local entries = redis.call('HLEN', state) + (old and 0 or 1)
    if entries > tonumber(ARGV[15]) or held > tonumber(ARGV[16]) then return {'full'} end
  end
end
local offset = redis.call('HINCRBY', meta, 's', 1)
local q = redis.call('HINCRBY', server, 'q', 1)
local record = table.concat({epoch, offset, flags, ARGV[5], q, #change, #payload, change .. payload}, ' ')
local bytes = tonumber(known[4] or '0')
if kind == 'keyframes' and tonumber(flags) % 2 == 1 then
  redis.call('DEL', stream)
  bytes = 0
end
redis.call('XADD', stream, offset .. '-0', 'r', record)
bytes = bytes + #payload
local count = redis.call('XLEN', stream)
while count > 0 do
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local at, size = head(first[2][2])
  if count <= tonumber(ARGV[11]) and bytes <= tonumber(ARGV[12]) and now - at <= tonumber(ARGV[13]) then break end
  redis.call('XDEL', stream, first[1])
  bytes, count = bytes - size, count - 1
end
redis.call('HSET', meta, 'b', bytes, 'v', held)
if kind == 'state' and sign == '+' then redis.call('HSET', state, name, record) end
if kind == 'state' and sign == '-' then redis.call('HDEL', state, name) end
if key ~= '' then
  local slot = 'r:' .. (redis.call('HINCRBY', meta, 'n', 1) % tonumber(ARGV[14]))
  local old = redis.call('HGET', meta, slot)
  if old then redis.call('HDEL', meta, 'k:' .. old) end
  redis.call('HSET', meta, slot, key, 'k:' .. key, offset .. ':' .. mark)
end
live(ttl, count > 0 or redis.call('EXISTS', state) == 1)
redis.call('PUBLISH', channel, record)
return {'published', epoch, tostring(offset), tostring(q)}
