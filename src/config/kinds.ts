import { isIP } from 'node:net'
import { type Static, type TSchema, Type } from 'typebox'
import { exponentOf } from '../domain/currency.ts'
import { type FeeMin, parseFeeMins } from '../domain/fee.ts'

/**
 * How one kind of setting is read. `read` turns its text into a value, or into undefined when the
 * text is not one; `schema` then bounds the value; `allowed` says both to people.
 */
export interface Kind<S extends TSchema = TSchema> {
  readonly schema: S
  readonly read: (text: string) => unknown
  readonly allowed: string
}

/** The value a kind of setting is read into. */
export type KindValue<K> = K extends Kind<infer S> ? Static<S> : never

/** One environment variable: how it is read, what it is when absent, and what people are told. */
export interface Setting {
  readonly name: string
  readonly group: string
  readonly kind: Kind
  /** Its text when the variable is unset; null when the setting is then absent. */
  readonly fallback: string | null
  readonly doc: string
  /** True when the fallback depends on other settings: `.env.example` shows it commented out. */
  readonly varies?: boolean
  /** What `.env.example` shows, commented out, for a setting without a fallback. */
  readonly example?: string
  /** True when the value must never be printed, in errors included. */
  readonly secret?: boolean
}

/** Printable text of 1 to `lengthMax` characters. */
export function text(lengthMax: number) {
  const schema = Type.String({
    minLength: 1,
    maxLength: lengthMax,
    pattern: '^[^\\u0000-\\u001f]*$',
  })
  return { schema, read: (value: string) => value, allowed: `text, up to ${lengthMax} characters` }
}

/** A host name or IP address to listen on. */
export function host() {
  const schema = Type.String({ maxLength: 253, pattern: '^[A-Za-z0-9.:_-]+$' })
  return { schema, read: (value: string) => value, allowed: 'a host name or an IP address' }
}

/** IP addresses and networks (CIDR), separated by commas; empty: none. */
export function networks() {
  const read = (value: string) => {
    const parts = value.split(',').map((part) => part.trim())
    const given = parts.filter((part) => part !== '')
    return given.every(isNetwork) ? given : undefined
  }
  const allowed = 'IP addresses and networks such as `10.0.0.0/8`, separated by commas'
  return { schema: Type.Array(Type.String()), read, allowed }
}

function isNetwork(network: string): boolean {
  const [address = '', bits, ...more] = network.split('/')
  const bitsMax = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (more.length > 0 || bitsMax === -1 || address.includes('%')) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax)
}

/** A whole number between `min` and `max`, both included. */
export function integer(min: number, max: number) {
  const schema = Type.Integer({ minimum: min, maximum: max })
  const read = (value: string) => (/^\d{1,15}$/.test(value) ? Number(value) : undefined)
  return { schema, read, allowed: `a whole number from ${min} to ${max}` }
}

/** A duration written in seconds with up to 3 decimals and read into whole milliseconds. */
export function seconds(min: number, max: number) {
  const schema = Type.Integer({ minimum: Math.round(min * 1_000), maximum: max * 1_000 })
  const read = (value: string) => fixedPoint(value, 3)
  return { schema, read, allowed: `seconds from ${min} to ${max}, up to 3 decimals` }
}

/** A percentage with up to 2 decimals, read into basis points: "2.5" is 250. */
export function percent() {
  const schema = Type.Integer({ minimum: 0, maximum: 10_000 })
  const read = (value: string) => fixedPoint(value, 2)
  return { schema, read, allowed: 'a percentage from 0 to 100, up to 2 decimals' }
}

/** A currency by its code of ISO 4217, in any case. */
export function currency() {
  const read = (value: string) => {
    const code = value.toUpperCase()
    return exponentOf(code) === undefined ? undefined : code
  }
  return { schema: Type.String(), read, allowed: 'an ISO 4217 code such as `USD`' }
}

/** Amounts by currency; one without a currency is for a default that is known elsewhere. */
export function feeMins() {
  const schema = Type.Unsafe<readonly FeeMin[]>(Type.Array(Type.Unknown()))
  const allowed = 'an amount such as `0.30`, or amounts by currency such as `USD:0.30,JPY:40`'
  return { schema, read: parseFeeMins, allowed }
}

const YES = ['true', '1', 'yes', 'on']
const NO = ['false', '0', 'no', 'off']

/** The value of an HTTP header: visible ASCII and single spaces. */
export function headerValue() {
  const schema = Type.String({ maxLength: 4_096, pattern: '^[\\x21-\\x7e]+( [\\x21-\\x7e]+)*$' })
  return { schema, read: (value: string) => value, allowed: 'the value of a header, visible ASCII' }
}

/** Headers that our requests have already, or that frame them. */
const OWN_HEADERS = new RegExp(
  '^(accept|authorization|connection|content-.*|expect|host|idempotency-key|keep-alive|te|trailer|' +
    'transfer-encoding|upgrade)$',
  'i',
)

/**
 * Headers as one JSON object, because names and values may hold whatever another notation would
 * separate them by.
 */
export function headers() {
  const value = headerValue().schema
  const schema = Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }), value, {
    additionalProperties: false,
    maxProperties: 20,
  })
  const read = (json: string): unknown => {
    try {
      const fields: unknown = JSON.parse(json)
      const taken = Object.keys(fields ?? {}).some((name) => OWN_HEADERS.test(name))
      return taken ? undefined : fields
    } catch {
      return undefined
    }
  }
  return { schema, read, allowed: 'a JSON object of up to 20 header names and values' }
}

/** Yes or no, in the spellings the original service took, in any case. */
export function flag() {
  const read = (value: string) => {
    const word = value.toLowerCase()
    return YES.includes(word) ? true : NO.includes(word) ? false : undefined
  }
  return { schema: Type.Boolean(), read, allowed: '`true` or `false` (also 1/0, yes/no, on/off)' }
}

/** One of `words`, in any case. `aliases` are other spellings of the same, in lower case. */
export function choice<const W extends string>(
  words: readonly W[],
  aliases: Readonly<Record<string, W>> = {},
) {
  const read = (value: string) => aliases[value.toLowerCase()] ?? value.toLowerCase()
  const allowed = [...words, ...Object.keys(aliases)].map((word) => `\`${word}\``).join(', ')
  return { schema: Type.Unsafe<W>(Type.Enum([...words])), read, allowed: `one of ${allowed}` }
}

/**
 * A PostgreSQL URL of one server. `postgres://` and a Python driver's suffix, as in
 * `postgresql+asyncpg://`, are read as `postgresql://`, so that the URL of the original service can
 * be kept.
 */
export function databaseUrl() {
  const read = (value: string) => {
    const url = value.replace(/^postgres(?:ql)?(?:\+[a-z0-9]+)?:\/\//, 'postgresql://')
    if (!url.startsWith('postgresql://') || !URL.canParse(url)) return undefined
    // A list of hosts would be taken for the name of one.
    return new URL(url).hostname.includes(',') ? undefined : url
  }
  const allowed =
    '`postgresql://user:password@host:port/database`, one host, special characters %-encoded'
  return { schema: Type.String(), read, allowed }
}

/** An HTTP base URL without credentials, query or fragment; a slash at its end is dropped. */
export function httpUrl() {
  const read = (value: string) => {
    if (!/^https?:\/\/[^/]/i.test(value) || !URL.canParse(value)) return undefined
    const url = new URL(value)
    if (url.username || url.password || url.search || url.hash) return undefined
    return url.href.replace(/\/+$/, '')
  }
  const allowed = '`http(s)://host/path` without user name, password, query and fragment'
  return { schema: Type.String(), read, allowed }
}

/** A StatsD daemon's address. */
export function statsdUrl() {
  const schema = Type.String({ pattern: '^(udp|statsd)://[^/@?#]+/?$' })
  const read = (value: string) => (URL.canParse(value) ? value : undefined)
  return { schema, read, allowed: '`udp://host:port` or `statsd://host:port`' }
}

/** A decimal text times 10^`decimals` as an exact integer; undefined if it has more decimals. */
function fixedPoint(value: string, decimals: number): number | undefined {
  const match = /^(\d{1,11})(?:\.(\d+))?$/.exec(value)
  const fraction = match?.[2] ?? ''
  if (!match || fraction.length > decimals) return undefined
  return Number(`${match[1]}${fraction.padEnd(decimals, '0')}`)
}
