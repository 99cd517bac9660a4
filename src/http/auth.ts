import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Checked, KnownKey, Scope } from '../domain/api-key.ts'
import type { Clock } from '../ports.ts'
import { allowance, type Allowance } from './rate-limit.ts'
import { callers, type Caller } from './caller.ts'
import { trusted } from './connections.ts'
import { refuse } from './problem.ts'
import {
  hostAndOriginCheck,
  isFromElsewhere,
  isFromOwnPage,
  isLoopback,
} from './host-and-origin.ts'
import { scopeOf, type Needs } from './scopes.ts'
import { sessionToken } from './session-cookie.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The id of the API key the request came with; null where keys are not asked for. */
    keyId: string | null
    /** The session that spoke for the key; null: there is none. */
    sessionId: string | null
    /** What that key may do; null where no key was needed. */
    scopes: readonly Scope[] | null
  }
}

interface Keys {
  /**
   * Checks a bearer token. Throws when it cannot: nobody is let in unchecked. `patient`: it may
   * take a moment longer, and is to cost the database less. `unused`: a page asks by itself, which
   * is no use of a session.
   */
  check(token: string, patient?: boolean, unused?: boolean): Promise<Checked>
  /** The same without asking the database; null: not known without. */
  peek(token: string, unused?: boolean): Checked | null
}

interface Sessions extends Keys {
  /** Forget a session that has ended, so that its token opens nothing any more. */
  forget(id: string): void
}

export interface Guards {
  /** Null: no key is asked for, because only this machine can connect. */
  readonly keys: Keys | null
  /** The same of the tokens of sessions, which come in cookies; null: there are none. */
  readonly sessions: Sessions | null
  /**
   * Whether requests are limited; then the fast way in is closed, because the limit counts them.
   */
  readonly limited: boolean
  /** Requests by key, or by address without one. */
  readonly requests: Allowance
  /** Wrong keys by address. */
  readonly wrongKeys: Allowance
  /** Where a request comes from, behind trusted proxies. */
  readonly callerOf: (request: IncomingMessage) => Caller
  /** What keeps the pages of a browser on this machine out, where no key does. */
  readonly checkHostAndOrigin: ReturnType<typeof hostAndOriginCheck>
}

export interface GuardOptions {
  readonly keys?: Keys | null
  readonly sessions?: Sessions | null
  /** Requests per second and key, or address without a key; 0: no limit. */
  readonly perSecondMax?: number
  /** The loopback address that the service listens on; null: another one. */
  readonly loopback?: string | null
  /** Addresses and networks of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: readonly string[]
}

/** Wrong keys per address and minute; after them a wrong key is answered with 429. */
const WRONG_KEYS_MAX = 30
const WRONG_KEYS_MS = 60_000

/** The guards of a server; its two ways in share what they count. */
export function openGuards(clock: Pick<Clock, 'elapsedMs'>, options: GuardOptions = {}): Guards {
  const { keys = null, sessions = null, perSecondMax = 0, loopback = null } = options
  const { trustedProxies = [] } = options
  const { elapsedMs } = clock
  return {
    keys,
    sessions,
    limited: perSecondMax > 0,
    requests: allowance({ max: perSecondMax, windowMs: 1_000, elapsedMs }),
    wrongKeys: allowance({ max: WRONG_KEYS_MAX, windowMs: WRONG_KEYS_MS, elapsedMs }),
    callerOf: callers(trustedProxies),
    checkHostAndOrigin: hostAndOriginCheck(loopback),
  }
}

function needsOf(request: FastifyRequest): Needs {
  return scopeOf(request.routeOptions.url, request.method)
}

/**
 * Guard every route: an API key with the right scope as `Authorization: Bearer pay_…` (RFC 6750),
 * and a limit of requests per key or address. 401 without a valid key, 403 without the scope or
 * from a page of another site, 429 with Retry-After past a limit.
 */
export function guard(app: FastifyInstance, guards: Guards): void {
  app.decorateRequest('keyId', null)
  app.decorateRequest('sessionId', null)
  app.decorateRequest('scopes', null)
  if (guards.keys === null) keepSitesOut(app, guards)
  else askForKeys(app, guards.keys, guards)
  if (guards.limited) limitRequests(app, guards)
}

/**
 * Whether a request may write, asked before the framework has seen it. Only a yes that needs no
 * question counts: whoever is not let in at once is handed to the framework, which checks again,
 * counts wrong keys and says why.
 */
export function admitter(guards: Guards): (request: IncomingMessage) => boolean {
  const { keys, limited, checkHostAndOrigin } = guards
  // Requests are counted in the framework.
  if (limited) return () => false
  if (keys === null) return (request) => checkHostAndOrigin(request) === null
  return (request) => {
    const token = bearer(request)
    const key = token === null ? null : keys.peek(token)
    return key !== null && key.ok && key.scopes.includes('write')
  }
}

/**
 * Whether what a gateway sends may come in, asked before the framework has seen it: no key is asked
 * for. Whoever may is trusted as the framework trusts.
 */
export function gatewayAdmitter({
  keys,
  checkHostAndOrigin,
}: Guards): (request: IncomingMessage, caller: Caller) => boolean {
  return (request, { address }) => {
    if (keys === null && checkHostAndOrigin(request) !== null) return false
    if (keys === null || isLoopback(address)) trusted(request.socket)
    return true
  }
}

function keepSitesOut(app: FastifyInstance, { checkHostAndOrigin }: Guards): void {
  app.addHook('onRequest', (request, reply, done) => {
    const code = checkHostAndOrigin(request.raw)
    if (code !== null) return void refuse(reply, { code })
    if (needsOf(request) !== 'public') trusted(request.raw.socket)
    done()
  })
}

function askForKeys(app: FastifyInstance, keys: Keys, guards: Guards): void {
  app.addHook('onRequest', async (request, reply) => {
    const needs = needsOf(request)
    if (needs === 'gateway' && isLoopback(guards.callerOf(request.raw).address)) {
      trusted(request.raw.socket)
    }
    if (needs === 'public' || needs === 'gateway') return
    // Nobody is signed in or out by another site.
    if (needs === 'anybody' && isFromElsewhere(request.raw)) {
      return refuse(reply, { code: 'origin_refused' })
    }
    const known = await identify(request.raw, keys, guards)
    if (known.ok) return letIn(known, request, reply)
    // A cookie may be left over; a key that is sent is meant.
    if (needs === 'anybody' && request.raw.headers.authorization === undefined) return
    return refuseStranger(reply, known.waitMs)
  })
}

/** Let somebody in who is known, if the scopes of the key allow it, and no other site asks. */
function letIn(known: KnownKey, request: FastifyRequest, reply: FastifyReply): unknown {
  const { id, scopes, session } = known
  if (session !== undefined && !isFromOwnPage(request.raw)) {
    return refuse(reply, { code: 'origin_refused' })
  }
  const needs = needsOf(request)
  const allowed = needs === 'anybody' || scopes.some((scope) => scope === needs)
  if (!allowed) return refuse(reply, { code: 'forbidden' })
  request.keyId = id
  request.sessionId = session ?? null
  request.scopes = scopes
  trusted(request.raw.socket)
  return undefined
}

/** Say that the key is none, or that there were too many such. */
export function refuseStranger(reply: FastifyReply, waitMs: number): FastifyReply {
  if (waitMs > 0) return tooMany(reply, waitMs)
  void reply.header('www-authenticate', 'Bearer realm="payments"')
  return refuse(reply, { code: 'unauthorized' })
}

/** Who a request comes from, or that nobody knows; then, how long until the next guess. */
type Identified = KnownKey | { readonly ok: false; readonly waitMs: number }

/**
 * Who sends a request: by the key that it names, or without one, by the cookie of a session. A
 * request without credentials is no guess and is not counted.
 */
async function identify(request: IncomingMessage, keys: Keys, guards: Guards): Promise<Identified> {
  if (request.headers.authorization !== undefined) {
    return identifyBy(keys, bearer(request), request, guards)
  }
  const { sessions } = guards
  const token = sessions === null ? null : sessionToken(request)
  if (sessions === null || token === null) return { ok: false, waitMs: 0 }
  return identifyBy(sessions, token, request, guards)
}

/**
 * Who a token belongs to; null is a token that cannot be one. A valid one always passes, whatever
 * its address sent before. One wrong token is reserved for the address before anything is looked
 * up, and given back if the token was right: so however many come at once, no more than the limit
 * are looked up in a hurry.
 */
export async function identifyBy(
  tokens: Keys,
  token: string | null,
  request: IncomingMessage,
  { wrongKeys, callerOf }: Pick<Guards, 'wrongKeys' | 'callerOf'>,
): Promise<Identified> {
  const unused = request.headers['x-polling'] === 'true'
  const known = token === null ? { ok: false as const } : tokens.peek(token, unused)
  if (known?.ok) return known
  const caller = callerOf(request).network
  const waitMs = wrongKeys.take(caller)
  if (known !== null || token === null) return { ok: false, waitMs }
  try {
    const found = await tokens.check(token, waitMs > 0, unused)
    if (!found.ok) return { ok: false, waitMs }
    if (waitMs === 0) wrongKeys.giveBack(caller)
    return found
  } catch (error) {
    if (waitMs === 0) wrongKeys.giveBack(caller)
    throw error
  }
}

function limitRequests(app: FastifyInstance, { requests, callerOf }: Guards): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (needsOf(request) === 'gateway') return done()
    // The id of a key and an address are never the same text.
    const waitMs = requests.take(request.keyId ?? callerOf(request.raw).network)
    if (waitMs === 0) return done()
    void tooMany(reply, waitMs)
  })
}

function tooMany(reply: FastifyReply, waitMs: number): FastifyReply {
  void reply.header('retry-after', String(Math.ceil(waitMs / 1_000)))
  return refuse(reply, { code: 'rate_limited' })
}

/** The token of the one Authorization header; of two another reader may believe the other. */
function bearer(request: IncomingMessage): string | null {
  const [given = '', ...more] = request.headersDistinct['authorization'] ?? []
  const match = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(given)
  return more.length === 0 ? (match?.[1] ?? null) : null
}
