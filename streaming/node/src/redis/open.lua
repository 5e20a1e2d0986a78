-- Shared by publish.lua and read.lua: the topic's hash, with an epoch made when there is none of this generation.
local meta, stream, state, server = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function open(fresh)
  local generation = redis.call('HGET', server, 'g') or '0'
  local known = redis.call('HMGET', meta, 'e', 'g', 's', 'b', 'n', 'v')
  if known[1] and known[2] == generation then return known end
  redis.call('DEL', meta, stream, state)
  redis.call('HSET', meta, 'e', fresh, 'g', generation, 's', 0)
  return {fresh, generation, '0', false, false, false}
end
-- A topic that holds nothing goes sooner, or whoever asks for names could fill the server. ms.
local EMPTY_TTL = 75000
local function live(ttl, holds)
  if not holds then ttl = math.min(tonumber(ttl), EMPTY_TTL) end
  redis.call('PEXPIRE', meta, ttl)
  redis.call('PEXPIRE', stream, ttl)
  redis.call('PEXPIRE', state, ttl)
end
-- When a record was published, and the bytes of its payload.
local function head(record)
  local at, bytes = string.match(record, '^%d+ %d+ %d+ (%d+) %d+ %d+ (%d+) ')
  return tonumber(at), tonumber(bytes)
end
