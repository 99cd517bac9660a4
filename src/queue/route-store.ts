import { GATEWAY } from '../domain/payment.ts'

/**
 * The condition that a task is of the gateway `http`, and that it is of another one, which is a
 * parameter. Two, because each has an index that the planner finds by these very words.
 */
export const OF_HTTP = `gateway = '${GATEWAY}'`
export const ofGateway = (parameter: string) => `gateway <> '${GATEWAY}' and gateway = ${parameter}`
