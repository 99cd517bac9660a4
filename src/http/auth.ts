import type { IncomingMessage } from 'node:http'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Scope } from '../domain/key.ts'
import { refuse } from './problem.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The id of the API key the request came with; null where keys are not asked for. */
    keyId: string | null
  }
}

type Checked =
  | { readonly ok: true; readonly id: string; readonly scopes: readonly Scope[] }
  | { readonly ok: false }

export interface Keys {
  /** Checks a bearer token. Throws when it cannot: nobody is let in unchecked. */
  check(token: string): Promise<Checked>
  /** The same without asking the database; null: not known without. */
  peek(token: string): Checked | null
}

export interface Guards {
  /** Null: no key is asked for, because only this machine can connect. */
  readonly keys: Keys | null
  /** Requests per second and key, or address without a key; 0: no limit. */
  readonly perSecondMax: number
  readonly suspects: Suspects
}

/** Wrong keys per address and minute before the address has to wait. */
const WRONG_KEYS_MAX = 30

/**
 * What a key needs, by route; the first rule that fits. The mock gateway's own contract is called by
 * the worker, which has no key; probes and documentation must answer before there is one.
 */
const RULES: readonly (readonly [route: RegExp, methods: RegExp, scope: Scope | 'public'])[] = [
  [/^\/(livez|readyz|openapi\.json|docs(\/.*)?)$/, /./, 'public'],
  [/\/mock-gateway\/pay$/, /^POST$/, 'public'],
  [/\/mock-gateway\/payments\/:key$/, /^(GET|HEAD)$/, 'public'],
  [/./, /^(GET|HEAD|OPTIONS)$/, 'read'],
  [/\/(dlq|mock-gateway)(\/|$)/, /./, 'operate'],
  [/./, /./, 'write'],
]

/** The scope a request needs. What has no route needs one too: strangers learn no paths. */
export function scopeOf(route: string, method: string): Scope | 'public' {
  const rule = RULES.find(([routes, methods]) => routes.test(route) && methods.test(method))
  return rule?.[2] ?? 'operate'
}

/**
 * Guard every route: an API key with the right scope as `Authorization: Bearer pay_…` (RFC 6750),
 * and a limit of requests per key or address. 401 without a valid key, 403 without the scope, 429
 * with Retry-After past a limit.
 */
export async function guard(app: FastifyInstance, guards: Guards): Promise<void> {
  app.decorateRequest('keyId', null)
  const { keys, perSecondMax } = guards
  if (keys === null && perSecondMax === 0) return
  await app.register(rateLimit, { global: false })
  if (keys !== null) askForKeys(app, keys, guards.suspects)
  if (perSecondMax > 0) limitRequests(app, perSecondMax)
}

/** Addresses that sent a wrong key within the last minute, so many at most; then it is everybody. */
const SUSPECTS_MAX = 10_000
const WRONG_KEYS_MS = 60_000

interface Suspects {
  add(address: string): void
  has(address: string): boolean
}

function openSuspects(): Suspects {
  const addresses = new Set<string>()
  return {
    add(address) {
      if (addresses.size >= SUSPECTS_MAX || addresses.has(address)) return
      addresses.add(address)
      setTimeout(() => addresses.delete(address), WRONG_KEYS_MS).unref()
    },
    has: (address) => addresses.size >= SUSPECTS_MAX || addresses.has(address),
  }
}

/** The guards of a server; its two ways in share what they learn of addresses. */
export function openGuards(keys: Keys | null, perSecondMax: number): Guards {
  return { keys, perSecondMax, suspects: openSuspects() }
}

/**
 * Whether a request may write, asked before the framework has seen it. Only a yes that needs no
 * question counts: whoever is not let in at once is handed to the framework, which checks again,
 * counts wrong keys and says why.
 */
export function admitter(guards: Guards): (request: IncomingMessage) => boolean {
  const { keys, perSecondMax, suspects } = guards
  // Requests are counted in the framework.
  if (perSecondMax > 0) return () => false
  if (keys === null) return () => true
  return (request) => {
    const token = bearer(request)
    if (token === null || suspects.has(request.socket.remoteAddress ?? '')) return false
    const key = keys.peek(token)
    return key !== null && key.ok && key.scopes.includes('write')
  }
}

function askForKeys(app: FastifyInstance, keys: Keys, suspects: Suspects): void {
  const wrongKeys = app.createRateLimit({
    max: WRONG_KEYS_MAX,
    timeWindow: WRONG_KEYS_MS,
    keyGenerator: (request) => request.ip,
  })
  app.addHook('onRequest', async (request, reply) => {
    const scope = scopeOf(request.routeOptions.url ?? request.url, request.method)
    if (scope === 'public') return
    const token = bearer(request.raw)
    const blocked = await wrongKeys(request, { increment: false })
    if (!blocked.isAllowed && blocked.isExceeded) return limited(reply, blocked.ttlInSeconds)
    const key = token === null ? null : await keys.check(token)
    if (key === null || !key.ok) {
      await wrongKeys(request)
      suspects.add(request.raw.socket.remoteAddress ?? '')
      void reply.header('www-authenticate', 'Bearer realm="payments"')
      return refuse(reply, { code: 'unauthorized' })
    }
    if (!key.scopes.includes(scope)) return refuse(reply, { code: 'forbidden' })
    request.keyId = key.id
  })
}

function limitRequests(app: FastifyInstance, perSecondMax: number): void {
  const requests = app.createRateLimit({
    max: perSecondMax,
    timeWindow: 1_000,
    keyGenerator: (request) => request.keyId ?? request.ip,
  })
  app.addHook('onRequest', async (request, reply) => {
    if (scopeOf(request.routeOptions.url ?? request.url, request.method) === 'public') return
    const state = await requests(request)
    if (!state.isAllowed && state.isExceeded) return limited(reply, state.ttlInSeconds)
  })
}

function limited(reply: FastifyReply, seconds: number): FastifyReply {
  void reply.header('retry-after', String(Math.max(1, seconds)))
  return refuse(reply, { code: 'rate_limited' })
}

/** The token of the one Authorization header; of two another reader may believe the other. */
function bearer(request: IncomingMessage): string | null {
  const [given = '', ...more] = request.headersDistinct['authorization'] ?? []
  const match = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(given)
  return more.length === 0 ? (match?.[1] ?? null) : null
}

/** Whether an address can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/.test(host)
}
