-- KEYS: what is ready (by since when it is due), what is taken (by until when), who leads. ARGV: what is asked for, and its words.
-- All three have an expiry, and all of it may be gone at any time.
local ready, taken, lead = KEYS[1], KEYS[2], KEYS[3]
local ask = ARGV[1]

if ask == 'lead' then
    local me, ms = ARGV[2], ARGV[3]
    if redis.call('SET', lead, me, 'NX', 'PX', ms) then return 1 end
    if redis.call('GET', lead) ~= me then return 0 end
    redis.call('PEXPIRE', lead, ms)
    return 1
end

if ask == 'resign' then
    if redis.call('GET', lead) == ARGV[2] then redis.call('DEL', lead) end
    return 0
end

if ask == 'finish' then
    for i = 2, #ARGV do
        redis.call('ZREM', ready, ARGV[i])
        redis.call('ZREM', taken, ARGV[i])
    end
    return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep_ms = 600000

if ask == 'offer' then
    local room = ARGV[2] - redis.call('ZCARD', ready) - redis.call('ZCARD', taken)
    local fresh = 0
    for i = 3, #ARGV, 2 do
        if fresh >= room then break end
        if not redis.call('ZSCORE', taken, ARGV[i]) then
            fresh = fresh + redis.call('ZADD', ready, 'NX', ARGV[i + 1], ARGV[i])
        end
    end
    if fresh > 0 then redis.call('PEXPIRE', ready, keep_ms) end
    return fresh
end

-- take: first what its taker did not claim in time, some hundreds at once, so that no call has too many words.
local late = redis.call('ZRANGEBYSCORE', taken, '-inf', now, 'LIMIT', 0, 200)
for _, id in ipairs(late) do
    redis.call('ZREM', taken, id)
    redis.call('ZADD', ready, 'NX', 0, id)
end
local popped = redis.call('ZPOPMIN', ready, ARGV[2])
local ids = {}
for i = 1, #popped, 2 do
    ids[#ids + 1] = popped[i]
    redis.call('ZADD', taken, now + ARGV[3], popped[i])
end
if #ids > 0 then redis.call('PEXPIRE', taken, keep_ms) end
return ids
