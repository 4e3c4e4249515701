-- A tenant's log of live events. All keys are in one slot; every call is atomic.
--   meta    hash: run, epoch, last (offset), size (bytes), count (events), floors, forgotten
--   events  sorted set, in lexical order: stream NUL offset at expires payload
--   order   sorted set, in lexical order: offset stream
--   floors  sorted set: stream by the offset of its newest event that has left
-- Offsets, `at` and `expires` are 15 hexadecimal digits, so that their lexical order is the numerical one.
local META, EVENTS, ORDER, FLOORS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local command, new_epoch, now, idle_ms, max_floors = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local DIGITS = 15

-- A Redis that was restarted or replaced may have lost acknowledged events, and memory pressure may have evicted keys:
-- then a new log begins.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local meta = redis.call('HMGET', META, 'run', 'epoch', 'last', 'size', 'count', 'floors', 'forgotten')
local epoch, last, size, count, floors, forgotten =
  meta[2], tonumber(meta[3]), tonumber(meta[4]), tonumber(meta[5]), tonumber(meta[6]), tonumber(meta[7])
if meta[1] ~= run or redis.call('ZCARD', EVENTS) ~= count or redis.call('ZCARD', ORDER) ~= count
    or redis.call('ZCARD', FLOORS) ~= floors then
  redis.call('DEL', META, EVENTS, ORDER, FLOORS)
  epoch, last, size, count, floors, forgotten = new_epoch, 0, 0, 0, 0, 0
end

local function save()
  redis.call('HSET', META, 'run', run, 'epoch', epoch, 'last', last, 'size', size, 'count', count, 'floors', floors,
    'forgotten', forgotten)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, idle_ms) end
end

local function first_of(stream, limit)
  return redis.call('ZRANGEBYLEX', EVENTS, '[' .. stream .. '\0', '(' .. stream .. '\1', 'LIMIT', 0, limit)
end

local function field(member, stream, number)
  local start = #stream + 2 + number * DIGITS
  return string.sub(member, start, start + DIGITS - 1)
end

-- Removes the oldest events of a stream.
local function remove(stream, members)
  local offset
  local places = {}
  for at, member in ipairs(members) do
    offset = field(member, stream, 0)
    places[at] = offset .. stream
    size = size - #member - ENTRY_BYTES
  end
  redis.call('ZREM', EVENTS, unpack(members))
  redis.call('ZREM', ORDER, unpack(places))
  count = count - #members
  floors = floors + redis.call('ZADD', FLOORS, tonumber(offset, 16), stream)
  if floors > max_floors then
    local oldest = redis.call('ZPOPMIN', FLOORS)
    floors, forgotten = floors - 1, math.max(forgotten, tonumber(oldest[2]))
  end
end

local function has_expired(stream)
  local oldest = first_of(stream, 1)[1]
  return oldest and field(oldest, stream, 2) <= now
end

local function sweep(stream)
  while has_expired(stream) do
    for _, member in ipairs(first_of(stream, 50)) do
      if field(member, stream, 2) > now then return end
      remove(stream, {member})
    end
  end
end

local MAX_REMOVED = 1000  -- arguments of one command; Lua's stack has room for 8,000
local most = {}  -- streams that this call appends to, with their largest number of events; 0: any number

local function append(stream, payload, expires, publish, channel)
  last = last + 1
  local offset = string.format('%015x', last)
  local member = stream .. '\0' .. offset .. now .. expires .. payload
  redis.call('ZADD', EVENTS, 0, member)
  redis.call('ZADD', ORDER, 0, offset .. stream)
  count, size = count + 1, size + #member + ENTRY_BYTES
  redis.call(publish, channel, KEPT .. epoch .. '.' .. string.format('%x', last) .. '\0' .. payload)
end

-- Removes the surplus after the events of a call, once for all of them.
local function trim(limit)
  for stream, max_events in pairs(most) do
    sweep(stream)
    local surplus = max_events > 0
      and redis.call('ZLEXCOUNT', EVENTS, '[' .. stream .. '\0', '(' .. stream .. '\1') - max_events or 0
    while surplus > 0 do
      remove(stream, first_of(stream, math.min(surplus, MAX_REMOVED)))
      surplus = surplus - MAX_REMOVED
    end
  end
  while size > limit and count > 0 do
    local oldest = string.sub(redis.call('ZRANGE', ORDER, 0, 0)[1], DIGITS + 1)
    remove(oldest, first_of(oldest, 1))
  end
end

local function floor_of(stream)
  return tonumber(redis.call('ZSCORE', FLOORS, stream) or forgotten)
end

-- Appends and publishes; returns the epoch and the offset of the last event.
if command == 'append' then
  local limit, publish = tonumber(ARGV[6]), ARGV[7]
  for at = 8, #ARGV, 5 do
    append(ARGV[at], ARGV[at + 1], ARGV[at + 2], publish, ARGV[at + 4])
    most[ARGV[at]] = tonumber(ARGV[at + 3])
  end
  trim(limit)
  save()
  return {epoch, last}
end

if command == 'clear' then
  local stream = ARGV[6]
  if not stream then return redis.call('DEL', META, EVENTS, ORDER, FLOORS) end
  repeat
    local some = first_of(stream, 500)
    if #some > 0 then remove(stream, some) end
  until #some == 0
  save()
  return {epoch, last}
end

local function sweep_oldest(most)
  for removed = 1, most do
    if count == 0 then return end
    local stream = string.sub(redis.call('ZRANGE', ORDER, 0, 0)[1], DIGITS + 1)
    local member = first_of(stream, 1)[1]
    if field(member, stream, 2) > now then return end
    remove(stream, {member})
  end
end

-- Removes expired events, the oldest first. Those behind an event that is kept for longer leave when their topic is used.
if command == 'sweep' then
  local before = count
  sweep_oldest(SWEEP_EVENTS)
  save()
  return {epoch, last, before - count, count}
end

-- Reads for several readers. Each is an argument in MessagePack: a kind, the epoch and offset of an id, a limit, and streams.
-- Returns the epoch, the newest offset, and for each read the numbers of the streams that are not complete after the id, and
-- each stream's events. `missed`: those after the id, of complete streams; `newest`: the last `limit`, newest first; `page`: the
-- first `limit` after the id or, if the stream is not complete, of all. Once enough events are read, the other reads are left
-- to the next call.
local function read(kind, after_epoch, after, limit, streams)
  local after_offset = tonumber(after, 16)
  local is_known = after_epoch == epoch and after_offset <= last
  local incomplete, found, number = {}, {}, 0
  for at, stream in ipairs(streams) do
    local events = {}
    sweep(stream)
    local is_complete = is_known and floor_of(stream) <= after_offset
    if not is_complete then incomplete[#incomplete + 1] = at - 1 end
    local first, beyond = '[' .. stream .. '\0', '(' .. stream .. '\1'
    if is_complete then first = '(' .. stream .. '\0' .. after .. '\255' end
    if kind == 'newest' then
      events = redis.call('ZREVRANGEBYLEX', EVENTS, beyond, first, 'LIMIT', 0, limit)
    elseif is_complete or kind == 'page' then
      events = redis.call('ZRANGEBYLEX', EVENTS, first, beyond, 'LIMIT', 0, limit)
    end
    found[#found + 1] = events
    number = number + #events
  end
  return {incomplete, found}, number
end

local results, total, at = {}, 0, 6
while ARGV[at] and total < READ_EVENTS do
  local result, number = read(unpack(cmsgpack.unpack(ARGV[at])))
  results[#results + 1], total, at = result, total + number, at + 1
end
save()
return {epoch, last, results}
