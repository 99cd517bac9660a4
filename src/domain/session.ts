/** How long a session of the console lasts at most, and how long without being used. */
export const SESSION_HOURS_MAX = 12
export const SESSION_IDLE_MINUTES_MAX = 60
