-- A user as stored, nil if there is nothing.
-- KEYS user, facts
return state(KEYS[1], KEYS[2], false)
