-- Empties the numbers of messages that a room has forgotten. The numbers stay, so that there is no hole.
--
-- KEYS[1]: the room's hash, as recent.lua keeps it. ARGV: epoch, floor.
local key, floor = KEYS[1], tonumber(ARGV[2])
if redis.call('HGET', key, 'epoch') ~= ARGV[1] then return end
local bytes = tonumber(redis.call('HGET', key, 'bytes') or 0)

local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local seq = string.match(fields[i], '^%d+$') and string.match(fields[i + 1], '^(%d+):')
  if seq and tonumber(seq) <= floor then
    redis.call('HSET', key, fields[i], '')
    redis.call('HDEL', key, 's' .. seq)
    bytes = bytes - #fields[i + 1]
  end
end
redis.call('HSET', key, 'bytes', string.format('%.0f', bytes))
