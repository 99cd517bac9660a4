import type { Scope } from '../domain/api-key.ts'

/**
 * A scope; or nothing, for everybody, for the worker, which no limit may stop, or where it matters
 * only who asks.
 */
export type Needs = Scope | 'public' | 'gateway' | 'anybody'

/**
 * What a key needs, by route; the first rule that fits. The mock gateway's own contract is called
 * by the worker, which has no key; probes and documentation must answer before there is one.
 */
const SCOPES: readonly (readonly [route: RegExp, methods: RegExp, scope: Needs])[] = [
  [
    /^\/((livez|readyz|openapi\.json|(docs|console)(\/.*)?)?|api\/v1(\/mock-gateway)?)$/,
    /./,
    'public',
  ],
  // It says who asks, which may be nobody.
  [/\/session$/, /./, 'anybody'],
  // What a gateway sends by itself is checked by its signature, or by where it comes from.
  [/\/gateways\/:name\/notices$/, /^POST$/, 'gateway'],
  [/\/mock-gateway\/(pay|refund)$/, /^POST$/, 'gateway'],
  [/\/mock-gateway\/(payments|refunds)\/:key$/, /^(GET|HEAD)$/, 'gateway'],
  [/\/mock-gateway\/payments\/:key\/cancel$/, /^POST$/, 'gateway'],
  // A payer has no key of ours; the address of the page is what nobody can guess.
  [/\/mock-gateway\/pages\/:key(\/:answer)?$/, /^(GET|HEAD|POST)$/, 'public'],
  // Who is told what, and where, is the operators' own.
  [/\/webhook-endpoints(\/|$)|\/payments\/:id\/deliveries$/, /./, 'operate'],
  // Who has which key, who is signed in with it, and how this is set up.
  [/\/api\/v1\/(keys|sessions|configuration)(\/|$)/, /./, 'operate'],
  [/\/mock-gateway\/(stripe\/v1|yookassa\/v3)\/\*$/, /^(GET|HEAD|POST)$/, 'gateway'],
  [/./, /^(GET|HEAD|OPTIONS)$/, 'read'],
  [
    /\/(dlq|gateways|ledger|mock-gateway)(\/|$)|\/payments\/:id\/returns$|\/users\/:id\/erase$/,
    /./,
    'operate',
  ],
  [/\/payments\/:id\/(refunds|cancel)$/, /./, 'refund'],
  [/./, /./, 'write'],
]

/**
 * What a request needs, by the route it takes: the text of its URL decides nothing. What has no
 * route needs a key too: strangers learn no paths.
 */
export function scopeOf(route: string | undefined, method: string): Needs {
  if (route === undefined) return /^(GET|HEAD|OPTIONS)$/.test(method) ? 'read' : 'operate'
  const rule = SCOPES.find(([routes, methods]) => routes.test(route) && methods.test(method))
  return rule?.[2] ?? 'operate'
}
