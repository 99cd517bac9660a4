/** How long a claim lasts, a call may take, and a "not found" proves nothing, in milliseconds. */
export const LEASE_MS = 15_000
export const CALL_MS_MAX = 5_000
export const GRACE_MS = 30_000

/** Deliveries of one endpoint that a process makes together. */
export const AT_ONCE = 2
/** Deliveries that wait there for their turn, where the endpoint answers at once. */
export const AHEAD = 4
