"""What the job store's scripts have in common; each changes a job and its indexes in one step.

Every script gets the prefix of all keys as KEYS[1]; what the keys hold is in `keys.py`. A script
returns a word, `ok` where it did what was asked. All that may be repeated after a lost reply say
`ok` again without doing it twice.

Scripts that only free memory run when the server has none left (`allow-oom`).
"""

from __future__ import annotations

ALLOW_OOM = "#!lua flags=allow-oom\n"

# Nobody who died in the middle leaves more than this behind the indexes' back: the keys of a job
# live so much longer than their entry in `ends`, so that the sweep still finds them.
PREAMBLE = """
local P = KEYS[1]
local STATES = {'uploading', 'waiting', 'running', 'finished', 'failed', 'cancelled'}
local PARTS = {'input', 'progress', 'output', 'rejected'}
local EXPIRY_GRACE_MS, SWEEP_MAX, WAKE_MAX, RUNNER_MS = 60000, 100, 1000, 3600000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

local function field(id, name)
  return redis.call('HGET', P .. id, name)
end

local function word(id, name)
  local value = field(id, name)
  return value and string.sub(value, 2, -2)
end

local function total()
  return tonumber(redis.call('HGET', P .. 'bytes', 'total') or '0')
end

local function charge(id, bytes)
  redis.call('HINCRBY', P .. 'bytes', id, whole(bytes))
  redis.call('HINCRBY', P .. 'bytes', 'total', whole(bytes))
end

local function each_key(id, call)
  local digest = word(id, 'idempotency')
  call(P .. id)
  for _, part in ipairs(PARTS) do
    call(P .. id .. ':' .. part)
  end
  if digest and digest ~= '' then
    call(P .. 'key:' .. digest)
  end
end

local function expire(id, at)
  each_key(id, function(key) redis.call('PEXPIREAT', key, whole(at + EXPIRY_GRACE_MS)) end)
  redis.call('ZADD', P .. 'ends', whole(at), id)
end

local function persist(id)
  each_key(id, function(key) redis.call('PERSIST', key) end)
  redis.call('ZREM', P .. 'ends', id)
end

local function put_state(id, state)
  for _, other in ipairs(STATES) do
    redis.call('ZREM', P .. 'in:' .. other, id)
  end
  redis.call('ZADD', P .. 'in:' .. state, 0, id)
  redis.call('HSET', P .. id, 'state', '"' .. state .. '"')
end

local function tenant_of(id)
  return redis.call('HGET', P .. 'tenants', id) or ''
end

local function unlease(id)
  redis.call('ZREM', P .. 'leases:file', id)
  redis.call('ZREM', P .. 'leases:request', id)
end

local function close(id)
  redis.call('SREM', P .. 'open:file:' .. tenant_of(id), id)
  redis.call('SREM', P .. 'open:request:' .. tenant_of(id), id)
end

local function forget(id)
  local keys = {}
  each_key(id, function(key) keys[#keys + 1] = key end)
  local bytes = redis.call('HGET', P .. 'bytes', id)
  if bytes then
    charge(id, -bytes)
    redis.call('HDEL', P .. 'bytes', id)
  end
  for _, state in ipairs(STATES) do
    redis.call('ZREM', P .. 'in:' .. state, id)
  end
  redis.call('ZREM', P .. 'all', id)
  redis.call('ZREM', P .. 'ends', id)
  redis.call('ZREM', P .. 'webhooks', id)
  redis.call('ZREM', P .. 'of:' .. tenant_of(id), id)
  close(id)
  redis.call('HDEL', P .. 'tenants', id)
  unlease(id)
  redis.call('UNLINK', unpack(keys))
end

local function sweep()
  local gone = redis.call(
    'ZRANGE', P .. 'ends', '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, SWEEP_MAX)
  for _, id in ipairs(gone) do
    forget(id)
  end
end

local function drop(id, part)
  local size = tonumber(field(id, part .. '_bytes') or '0')
  if redis.call('UNLINK', P .. id .. ':' .. part) == 1 then
    charge(id, -size)
  end
end

local function wake(kind, id)
  redis.call('RPUSH', P .. 'wake:' .. kind, id)
  redis.call('LTRIM', P .. 'wake:' .. kind, -WAKE_MAX, -1)
end

local function await_runner(id)
  put_state(id, 'waiting')
  local kind = word(id, 'kind')
  redis.call('ZADD', P .. 'leases:' .. kind, 0, id)
  wake(kind, id)
end

-- The number alone comes twice where a restarted server has forgotten a claim.
local function token_of(id)
  return field(id, 'attempts') .. ':' .. word(id, 'runner')
end

local function fence(id, token)
  local state = word(id, 'state')
  if not state then
    return 'gone'
  elseif state == 'cancelled' then
    return 'cancelled'
  elseif state ~= 'running' or token_of(id) ~= token then
    return 'lost'
  end
end

local function lease(id, ms)
  local ends = whole(now + ms)
  redis.call('HSET', P .. id, 'lease_until_ms', ends)
  redis.call('ZADD', P .. 'leases:' .. word(id, 'kind'), ends, id)
end

local function end_job(id, state)
  put_state(id, state)
  local at = now + field(id, 'kept_ms')
  redis.call('HSET', P .. id, 'finished_ms', whole(now), 'expires_ms', whole(at))
  unlease(id)
  close(id)
  if word(id, 'webhook') ~= '' then
    redis.call('HSET', P .. id, 'webhook_state', '"pending"', 'webhook_attempts', 0)
    redis.call('ZADD', P .. 'webhooks', whole(now), id)
    wake('webhooks', id)
  end
  expire(id, at)
end
"""
