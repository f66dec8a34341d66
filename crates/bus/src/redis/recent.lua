-- Adds entries to a room's recent messages. Writes may come late, twice or in any order, from any node.
--
-- KEYS[1]: the room's hash. ARGV: epoch, seconds to live, most numbers, most bytes, then rev, seq and frame of each entry.
-- Fields:  <rev>    seq:frame, or empty for a number whose entry moved to a later one
--          s<seq>   the latest rev of that message
--          epoch, low (lowest number taken), top (highest seen), bytes (of all frames)
local key = KEYS[1]
local most_numbers, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])

local meta = redis.call('HMGET', key, 'epoch', 'low', 'top', 'bytes')
if meta[1] ~= ARGV[1] then
  redis.call('DEL', key)
  meta = {}
end
local low, top, bytes = tonumber(meta[2] or 1), tonumber(meta[3] or 0), tonumber(meta[4] or 0)

-- Lua would write large numbers with an exponent.
local function text(number) return string.format('%.0f', number) end

local function drop(number)
  local kept = redis.call('HGET', key, number)
  if not kept then return end
  local seq = string.match(kept, '^(%d+):')
  if seq then redis.call('HDEL', key, 's' .. seq) end
  redis.call('HDEL', key, number)
  bytes = bytes - #kept
end

for i = 5, #ARGV, 3 do
  local rev, seq = ARGV[i], ARGV[i + 1]
  local number = tonumber(rev)
  if number > top then
    local floor = number - most_numbers + 1
    if floor > top + 1 then
      redis.call('DEL', key)
      low, bytes = floor, 0
    else
      while low < floor do
        drop(text(low))
        low = low + 1
      end
    end
    top = number
  end
  -- Below the window nothing is taken: what had replaced it may be forgotten already.
  if number >= low then
    local latest = redis.call('HGET', key, 's' .. seq)
    if latest and tonumber(latest) > number then
      redis.call('HSETNX', key, rev, '')
    elseif latest ~= rev then
      if latest then
        bytes = bytes - redis.call('HSTRLEN', key, latest)
        redis.call('HSET', key, latest, '')
      end
      local kept = seq .. ':' .. ARGV[i + 2]
      redis.call('HSET', key, rev, kept, 's' .. seq, rev)
      bytes = bytes + #kept
    end
  end
end

while bytes > most_bytes and low < top do
  drop(text(low))
  low = low + 1
end
redis.call('HSET', key, 'epoch', ARGV[1], 'low', text(low), 'top', text(top), 'bytes', text(bytes))
redis.call('EXPIRE', key, ARGV[2])
