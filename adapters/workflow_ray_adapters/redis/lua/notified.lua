-- Returns the number of the last notification.

return redis.call('HGET', key('counters'), 'notifications') or '0'
