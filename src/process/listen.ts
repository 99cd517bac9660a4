import type { FastifyInstance } from 'fastify'
import { PORTS, roleOf, type Roles } from './shared.ts'

/** Where a process is to listen. Port 0 takes any free one. */
interface Address {
  readonly host: string
  readonly port: number
}

/** What to do about an address that cannot be listened on, by the system's error code. */
const REMEDIES: Readonly<Record<string, (at: Address, setting: string) => string>> = {
  EADDRINUSE: ({ host, port }, setting) =>
    `Port ${port} of ${host} is in use: set ${setting} to a free port, or stop what listens there.`,
  EACCES: ({ port }, setting) =>
    `This account may not listen on port ${port}: set ${setting} to 1024 or above.`,
  EADDRNOTAVAIL: ({ host }) =>
    `HOST=${host} is no address of this machine: set HOST to one, or to 0.0.0.0 for all of them.`,
  ENOTFOUND: ({ host }) => `HOST=${host} is unknown: set HOST to an address of this machine.`,
  EAI_AGAIN: ({ host }) =>
    `HOST=${host} cannot be resolved: set HOST to an address of this machine.`,
}

/**
 * Listen, and return the URL. Throws a sentence that names the setting where that is impossible.
 */
export async function listen(app: FastifyInstance, at: Address, roles: Roles): Promise<string> {
  try {
    return await listenSilently(app, at)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const remedy = REMEDIES[code]
    if (remedy === undefined) throw error
    throw new Error(remedy(at, PORTS[roleOf(roles)].setting), { cause: error })
  }
}

/**
 * The process says where it listens when all of it is ready; the framework's own lines are held
 * back.
 */
async function listenSilently(app: FastifyInstance, { host, port }: Address): Promise<string> {
  const { level } = app.log
  const chatty = level === 'info' || level === 'debug' || level === 'trace'
  if (chatty) app.log.level = 'warn'
  try {
    return await app.listen({ host, port })
  } finally {
    app.log.level = level
  }
}
