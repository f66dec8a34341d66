-- Whether something may be done once more under KEYS[1]: how often at once, and the microseconds after which once more.
-- The key holds the moment, by Redis's own clock, at which all is as if nothing had been done. Returns 0, or the microseconds to wait.
local burst, every = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local even = tonumber(redis.call('GET', KEYS[1])) or now
local most = every * burst
-- A clock that was set back must not shut anybody out for longer than a whole burst takes.
even = math.min(math.max(even, now), now + most) + every
local excess = even - now - most
if excess > 0 then
    return excess
end
redis.call('SET', KEYS[1], string.format('%.0f', even), 'PX', math.ceil((even - now) / 1000))
return 0
