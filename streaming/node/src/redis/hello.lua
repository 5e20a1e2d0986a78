-- First on each connection: whether this server still has what a node saw.
-- KEYS: amphi:server. ARGV: run id, 1 with AOF, the run that the node saw last, the highest q it saw there.
local server, run = KEYS[1], ARGV[1]
local known = redis.call('HMGET', server, 'run', 'q')
local q = tonumber(known[2] or '0')
local gone
if known[1] and known[1] ~= run then
  redis.call('HSET', server, 'end:' .. known[1], q)
  if ARGV[2] ~= '1' then gone = known[1] end
end
if known[1] ~= run then redis.call('HSET', server, 'run', run) end
local saw = ARGV[3]
if saw ~= '' then
  local kept = q
  if saw ~= run then kept = tonumber(redis.call('HGET', server, 'end:' .. saw) or '-1') end
  if kept < tonumber(ARGV[4]) then gone = saw end
end
-- Each loss counts once, whoever notices it.
if gone and redis.call('HSETNX', server, 'gone:' .. gone, '1') == 1 then
  redis.call('HINCRBY', server, 'g', 1)
end
return q
